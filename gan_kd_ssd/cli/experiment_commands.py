"""``gan-kd experiments``: the commands and their options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.config.parser import Parser, run_command, with_dashes
from gan_kd_ssd.paper import rows
from gan_kd_ssd.util.errors import UserError, exit_on_user_error

PROGRAM = "gan-kd experiments"


def parser() -> Parser:
    """The command line."""
    top = Parser(
        prog=PROGRAM,
        description="The paper's Tables 1 to 3: list the rows, show what one takes, run it, see how far "
        "it is.",
    )
    commands = top.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=Parser
    )

    def command(name: str, run, text: str, nargs: str | None) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        if nargs:
            added.add_argument("rows", metavar="ROW", nargs=nargs, help="a name that list gives")
        added.add_argument(
            "--scale",
            default=rows.SCALE,
            metavar="SCALE",
            help="paper, tiny (thin networks, generated images, minutes on a CPU), or a file such as "
            "experiments/tiny.json",
        )
        added.add_argument("--folder", default=rows.FOLDER, type=Path, help="where the runs are")
        return added

    command(
        "list", _list, "all rows: what each is, the published figure, ours, how far it is", None
    )
    command("show", _show, "everything of a row, and the commands that run it", "+")
    added = command("run", _run_rows, "train and measure rows, teachers first", "*")
    added.epilog = "Words after -- go to the training scripts: run ROW -- --gpus 0,1"
    added.add_argument("--all", action="store_true", help="every figure of the three tables")
    added.add_argument(
        "--restart", action="store_true", help="throw away runs that had other options"
    )
    command("status", _status, "what is done, running, stopped or failed (all rows, or these)", "*")
    return top


def run(words: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code.

    Raises:
        UserError: wrong use, or a row that failed.
    """
    words = list(sys.argv[1:] if words is None else words)
    own, extra = words, []
    if "--" in words:
        at = words.index("--")
        own, extra = words[:at], words[at + 1 :]
    options = parser().parse_args(with_dashes(own))
    options.extra = extra
    if extra and options.command != "run":
        raise UserError(f"{' '.join(extra)}: only run takes words after --")
    return run_command(options)


def _jobs(options, chosen: Sequence[rows.Row]):
    from gan_kd_ssd.paper.job import Job
    from gan_kd_ssd.paper.scale import load

    scale = load(options.scale)
    return [Job(row, scale, options.folder, tuple(options.extra)) for row in chosen]


def _list(options) -> int:
    from gan_kd_ssd.paper.show_rows import list_text

    print(list_text(_jobs(options, rows.rows())))
    return 0


def _show(options) -> int:
    from gan_kd_ssd.paper.show_rows import show_text

    jobs = _jobs(options, [rows.by_name(name) for name in options.rows])
    print("\n\n".join(show_text(job) for job in jobs))
    return 0


def _status(options) -> int:
    from gan_kd_ssd.paper.show_rows import status_text

    chosen = [rows.by_name(name) for name in options.rows]
    print(status_text(_jobs(options, chosen or rows.rows()), everything=bool(chosen)))
    return 0


def _run_rows(options) -> int:
    from gan_kd_ssd.paper.run_rows import run

    if bool(options.rows) == options.all:
        raise UserError("name rows to run, or give --all")
    chosen = rows.cells() if options.all else [rows.by_name(name) for name in options.rows]
    jobs = _jobs(options, chosen)
    try:
        return run(jobs, options.restart)
    except KeyboardInterrupt:
        code = 130
    except SystemExit as stopped:  # SIGTERM, SIGHUP
        code = stopped.code
    print(f"{PROGRAM}: stopped; the same command goes on from here", file=sys.stderr)
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """As :func:`run`; a mistake of the user is one line on stderr and exit code 2."""
    return exit_on_user_error(PROGRAM, run, argv)
