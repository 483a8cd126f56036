"""``gan-kd doctor``: check the installation and the machine."""

from __future__ import annotations

from collections.abc import Sequence


def run(words: Sequence[str]) -> int:
    """Check this machine; return 0 if all required components are present, else 1."""
    from gan_kd_ssd.config.parser import Parser, with_dashes

    parser = Parser(
        prog="gan-kd doctor",
        description="Check the installation and the machine: Python, MXNet, packages, GPUs, memory, disk "
        "space, data sets and pretrained weights. Each problem is shown with a remedy. The exit code is 0 "
        "if all required components are present, and 1 otherwise.",
        epilog="",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(with_dashes(words))

    from gan_kd_ssd.doctor import FAIL, as_json, examine, status, table

    checks = examine()
    print(as_json(checks) if options.json else table(checks))
    return 1 if status(checks) == FAIL else 0
