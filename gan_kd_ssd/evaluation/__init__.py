"""Measurement of a detector, and pictures of detections and attention maps."""
