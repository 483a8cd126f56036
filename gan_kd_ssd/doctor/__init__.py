"""Checks of the machine for ``gan-kd doctor``.

MXNet and the packages are imported in other processes, so that a crash is a result of the check.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True)
class Check:
    """The result of a check."""

    name: str  # what was checked
    status: str  # WARN: only some tasks need what is missing; FAIL: no training can run
    found: str
    remedy: str = ""  # required unless the status is OK


def examine() -> list[Check]:
    """Run all checks, in the order in which problems should be fixed."""
    from gan_kd_ssd.doctor import gpu, software, storage

    packages, mxnet = software.checks()
    return [*packages, *gpu.checks(mxnet), *storage.checks()]


def status(checks: Sequence[Check]) -> str:
    """The worst status of the checks."""
    return max((check.status for check in checks), key=(OK, WARN, FAIL).index)


def as_json(checks: Sequence[Check]) -> str:
    """The checks and the worst status as JSON."""
    return json.dumps({"status": status(checks), "checks": [vars(c) for c in checks]}, indent=2)


def table(checks: Sequence[Check]) -> str:
    """A row for each check, its remedy in the next row, and a summary."""
    from gan_kd_ssd.util.tables import aligned

    rows = []
    for check in checks:
        rows.append((check.status, check.name, check.found))
        if check.remedy:
            rows.append(("", "", f"-> {check.remedy}"))
    failed, warned = (sum(check.status == one for check in checks) for one in (FAIL, WARN))
    summary = "all required components are present"
    summary = f"{failed} of {len(checks)} checks failed" if failed else summary
    summary += f"; {warned} warning{'s' * (warned > 1)}" if warned else ""
    return f"{aligned(rows)}\n\n{summary}"
