"""All checks, as a table or as JSON, and the exit code."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from gan_kd_ssd.config.parser import Parser, with_dashes
from gan_kd_ssd.doctor.check import FAIL, OK, WARN, Check

PROGRAM = "gan-kd doctor"


def main(argv: Sequence[str] | None = None) -> int:
    """Look, print, and return 0 where all that is needed is there, 1 where something fails."""
    parser = Parser(
        prog=PROGRAM,
        description="What this machine has of what the project needs, and what to do where it lacks "
        "something. Exit code 0: all that is needed is there; 1: something fails.",
        epilog="",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(with_dashes(sys.argv[1:] if argv is None else argv))
    checks = examine()
    worst = status(checks)
    if options.json:
        rows = [vars(check) for check in checks]
        text = json.dumps({"status": worst, "checks": rows}, indent=2)
    else:
        text = table(checks)
    try:
        print(text, flush=True)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1 if worst == FAIL else 0


def examine() -> list[Check]:
    """All checks, in the order in which a person would mend them."""
    from gan_kd_ssd.doctor import files, gpu, machine, software

    packages, mxnet = software.checks()
    return [*packages, *gpu.checks(mxnet), *machine.checks(), *files.checks()]


def status(checks: Sequence[Check]) -> str:
    """The worst status among the checks."""
    found = {check.status for check in checks}
    return next(one for one in (FAIL, WARN, OK) if one in found or one == OK)


def table(checks: Sequence[Check]) -> str:
    """A line for each check, its remedy in a line below, and a line that sums up."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{check.status:<4}  {check.name:<{width}}  {check.found}")
        if check.remedy:
            lines.append(f"{'':<4}  {'':<{width}}  -> {check.remedy}")
    counts = {one: sum(check.status == one for check in checks) for one in (FAIL, WARN)}
    if counts[FAIL]:
        last = f"{counts[FAIL]} of {len(checks)} checks fail"
    else:
        last = "all that is needed is there"
    if counts[WARN]:
        last += f", {counts[WARN]} warn"
    return "\n".join([*lines, "", last])
