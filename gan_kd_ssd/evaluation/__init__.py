"""Measuring a detector (voc), the options of eval_voc.py, and pictures (draw, figures).

Importing this package imports neither MXNet nor matplotlib.
"""
