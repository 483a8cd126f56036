"""The distillation terms, one module each, in the order of their updates and of their figures.

The list of modules is all that a new term needs. No module here imports MXNet before a term is built.
"""

from importlib import import_module

from gan_kd_ssd.distill.terms.term import TERMS

__all__ = ["TERMS"]

for _module in ("adversarial", "cosine"):
    import_module(f"{__name__}.{_module}")
