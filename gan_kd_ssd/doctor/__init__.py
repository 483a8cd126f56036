"""Checks of the machine for ``gan-kd doctor``.

MXNet and the packages are imported in other processes, so that a crash is a result of the check.
"""

from __future__ import annotations

from dataclasses import dataclass

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True)
class Check:
    """The result of a check.

    Attributes:
        name: What was checked.
        status: OK; WARN if something is missing that only some tasks need; FAIL if nothing can be
            trained.
        found: What was found.
        remedy: What to do about it, if it is not OK.
    """

    name: str
    status: str
    found: str
    remedy: str = ""
