"""Check a data set for faults before a training."""
