"""The distillation terms, one module each. A module in this list is all that a new term needs.

Their order is the order of initialisation, of the update and of the figures. No module here imports
MXNet before a term is built, so that ``--help`` can list the terms quickly.
"""

import importlib

from gan_kd_ssd.distill.terms.term import TERMS

for _module in (
    "adversarial",
    "cosine",
):
    importlib.import_module(f"{__name__}.{_module}")

__all__ = ["TERMS"]
