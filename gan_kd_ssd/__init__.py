"""GAN-Knowledge Distillation for one-stage object detection (arXiv 1906.08467) on GluonCV and MXNet.

Importing this package is cheap: MXNet is imported by the modules that use it, through
:mod:`gan_kd_ssd.util.mxnet`.
"""

__version__ = "0.2.0"
