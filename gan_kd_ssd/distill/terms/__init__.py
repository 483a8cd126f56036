"""Distillation terms, in the order of their updates and of their figures.

To add a term, add its module to this list. No module here imports MXNet before a term is built.
"""

from importlib import import_module

from gan_kd_ssd.distill.terms.term import TERMS

__all__ = ["TERMS"]

for _module in ("adversarial", "cosine"):
    import_module(f"{__name__}.{_module}")
