"""Measurement of a detector, and pictures of detections, runs and attention maps."""
