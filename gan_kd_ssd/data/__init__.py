"""Data sets in VOC and COCO layout, augmentation, targets and batches; MXNet is imported by batches alone."""
