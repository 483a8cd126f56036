"""Readers of the VOC and COCO layouts, which both give a `Dataset`."""
