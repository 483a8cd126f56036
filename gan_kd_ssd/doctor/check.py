"""The one record of the doctor."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what. status: OK; WARN, where something that some work needs is missing; FAIL, where
            nothing can be trained. found: what there is. remedy: what to do, where it is not OK.
    """

    name: str
    status: str
    found: str
    remedy: str = ""
