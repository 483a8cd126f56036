"""Measuring a detector (voc), its command line (options, command), and pictures (draw, figures).

Importing this package imports neither MXNet nor matplotlib.
"""
