"""Data sets in VOC layout, augmentation, targets and batches; MXNet is imported by batches alone."""
