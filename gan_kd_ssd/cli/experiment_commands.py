"""``gan-kd experiments``: list, show and run the rows of the paper's tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.config.parser import Parser, with_dashes
from gan_kd_ssd.paper.rows import FOLDER, SCALE, by_name, cells, rows
from gan_kd_ssd.util.errors import UserError


def parser() -> Parser:
    """The parser of ``gan-kd experiments``."""
    top = Parser(
        prog="gan-kd experiments",
        description="List, show and run the rows of the paper's Tables 1 to 3.",
    )
    commands = top.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=Parser
    )

    def command(name: str, nargs: str | None, text: str, **settings) -> argparse.ArgumentParser:
        description = f"{text[0].upper()}{text[1:]}."
        added = commands.add_parser(name, help=text, description=description, **settings)
        if nargs:
            help = "name of a row in `gan-kd experiments list`, or path of a row file (NAME.json)"
            added.add_argument("rows", metavar="ROW", nargs=nargs, help=help)
        added.add_argument(
            "--scale",
            default=SCALE,
            metavar="SCALE",
            help="scale of the experiments: paper; tiny (narrow networks and generated images, which take "
            "minutes on a CPU); or path of a JSON file",
        )
        added.add_argument("--folder", default=FOLDER, type=Path, help="folder of the runs")
        return added

    command("list", None, "list all rows with the published figure, our figure and the state")
    command("show", "+", "show the choices of a row with their origin, and its commands")
    epilog = "Options after -- are passed to the training: run ROW -- --gpus 0,1"
    text = "train and measure rows, each after its teacher"
    added = command("run", "*", text, epilog=epilog)
    added.add_argument("--all", action="store_true", help="run all rows of the three tables")
    added.add_argument(
        "--restart", action="store_true", help="delete runs with other options and start them again"
    )
    command("status", "*", "show which rows are done, running, stopped or failed")
    return top


def run(words: Sequence[str]) -> int:
    """Run a command; return its exit code.

    Raises:
        UserError: The command was used wrongly.
    """
    own, extra = list(words), []
    if "--" in own:
        at = own.index("--")
        own, extra = own[:at], own[at + 1 :]
    options = parser().parse_args(with_dashes(own))
    if extra and options.command != "run":
        raise UserError(f"{' '.join(extra)}: only `run` accepts options after --")

    from gan_kd_ssd.paper import show_rows
    from gan_kd_ssd.paper.job import Job
    from gan_kd_ssd.paper.scale import load

    named = [by_name(name) for name in getattr(options, "rows", ())]
    if options.command == "run":
        if bool(named) == options.all:
            raise UserError("give either the names of rows or --all")
        chosen = named or cells()
    else:
        chosen = named or rows()
    scale = load(options.scale)
    jobs = [Job(row, scale, options.folder, tuple(extra)) for row in chosen]
    if options.command == "run":
        return _run(jobs, options.restart)
    if options.command == "list":
        print(show_rows.list_text(jobs))
    elif options.command == "show":
        print("\n\n".join(map(show_rows.show_text, jobs)))
    else:
        print(show_rows.status_text(jobs, everything=bool(named)))
    return 0


def _run(jobs: Sequence, restart: bool) -> int:
    from gan_kd_ssd.paper import run_rows

    try:
        return run_rows.run(jobs, restart)
    except KeyboardInterrupt:
        code = 130
    except SystemExit as stopped:  # SIGTERM, SIGHUP
        code = stopped.code
    print("gan-kd experiments: stopped; the same command resumes the run", file=sys.stderr)
    return code
