"""Checks of a whole data set before a training."""
