"""Data sets as they lie on the disk: VOC, COCO, and the one `Dataset` that both become."""
