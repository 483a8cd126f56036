"""``gan-kd logs``: read, compare and plot training logs. Drawing libraries are imported for plots only."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.analysis.analysed_run import analyse, run_of
from gan_kd_ssd.analysis.arguments import command_of
from gan_kd_ssd.analysis.comparison import compare
from gan_kd_ssd.analysis.report import markdown_text, table_text
from gan_kd_ssd.analysis.show import show_text, summarise
from gan_kd_ssd.analysis.wording import to_json
from gan_kd_ssd.config.parser import Parser, with_dashes
from gan_kd_ssd.logs.log import encode
from gan_kd_ssd.logs.published import REFERENCES
from gan_kd_ssd.logs.read import read
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import write_atomically
from gan_kd_ssd.util.option_fields import positive
from gan_kd_ssd.util.tables import put

#: The value of ``--reference`` for a plot without reference.
NONE = "none"

_LOG = "a text log, a *_metrics.jsonl file, or the name of a published log: ssd or faster_rcnn"
_REFERENCE = "log to compare with (default: the published log of the same detector{})"
#: Arguments of several commands.
_SHARED = {
    "log": {"metavar": "LOG", "help": _LOG},
    "--json": {"action": "store_true", "help": "print JSON"},
    "--last": {
        "type": positive,
        "default": 5,
        "metavar": "K",
        "help": "number of final epochs and validations to average",
    },
    "--run": {
        "dest": "number",
        "type": positive,
        "metavar": "N",
        "help": "number of the run in the log, as in `logs show` (default: the last run with figures)",
    },
    "--reference": {"metavar": "LOG", "help": _REFERENCE.format("")},
}


def parser() -> Parser:
    """Build the command line."""
    top = Parser(
        prog="gan-kd logs",
        description=f"Read, repeat, compare and plot training logs. LOG is {_LOG}.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run, text: str, *shared: str):
        added = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        added.set_defaults(run=run)
        for argument in shared:
            added.add_argument(argument, **_SHARED[argument])
        return added.add_argument

    text = "print a log as text; a text log is printed byte for byte, JSON lines are converted"
    command("write", _write, text, "log")
    text = "summarise a log: runs, phases, mAP, speed, and lines that were not understood"
    command("show", _show, text, "log", "--last", "--json")
    command("args", _args, "print the command line that repeats a run", "log", "--run")

    text = "compare a run with a reference; exit code 0: within tolerances, 1: outside, 3: not comparable"
    add = command("compare", _compare, text, "log", "--reference", "--run", "--last")
    add("--format", choices=("table", "markdown", "json"), default="table", help="output format")
    add("--all", action="store_true", help="also list the arguments that are equal")

    add = command("plot", _plot, "plot losses, mAP and speed of runs over a reference")
    add("logs", nargs="+", metavar="LOG", help=_LOG)
    text = _REFERENCE.format(f"; {NONE}: draw only the given logs")
    add("--reference", metavar="LOG", help=text)
    add("--run", **_SHARED["--run"])
    add("--out", metavar="FILE", help="output file (default: next to the first log)")
    text = "write an HTML page of one run: verdicts, curves, classes, arguments"
    add("--html", action="store_true", help=text)

    text = "print the paper's tables with the results of your runs and the training commands"
    add = command("tables", _tables, text, "--json")
    add("folder", nargs="?", metavar="FOLDER", help="folder to search for *_train.log files")
    return top


def _write(options) -> int:
    sys.stdout.flush()
    sys.stdout.buffer.write(encode(read(options.log, figures=False).text()))
    return 0


def _show(options) -> int:
    summary = summarise(read(options.log), options.last)
    put(to_json(summary) if options.json else show_text(summary))
    return 0


def _args(options) -> int:
    log = read(options.log)
    command = command_of(log, run_of(log, options.number) if options.number else None)
    for remark in command.remarks:
        print(f"# {remark}", file=sys.stderr)
    put(command.line() + "\n")
    return 0


def _references(runs, name: str | None) -> list:
    """The named reference, or the published run of each detector."""
    names = [name] if name else list(dict.fromkeys(run.detector for run in runs))
    if None in names:
        log = next(run.name for run in runs if run.detector is None)
        raise UserError(f"{log}: no published log has these losses; give a log with --reference")
    return [analyse(read(name), published=name in REFERENCES) for name in names]


def _compare(options) -> int:
    mine = analyse(read(options.log), options.number)
    (reference,) = _references([mine], options.reference)
    found = compare(mine, reference, options.last)
    if options.format == "json":
        put(to_json(found.as_dict()))
    else:
        write = table_text if options.format == "table" else markdown_text
        put(write(found, options.all))
    return found.exit_code


def _plot(options) -> int:
    if options.html and len(options.logs) > 1:
        raise UserError(f"--html: the page shows one run, but {len(options.logs)} logs are given")
    if options.html and options.reference == NONE:
        raise UserError("--html: the page needs a reference; give one with --reference")
    suffixes = (".html", ".htm") if options.html else (".png", ".svg")
    out = Path(options.out or Path(options.logs[0]).with_suffix(suffixes[0]))
    if out.suffix.lower() not in suffixes:
        raise UserError(f"--out {out}: give a file that ends in {' or '.join(suffixes)}")
    if any(out.resolve() == Path(log).resolve() for log in options.logs):
        raise UserError(f"--out {out}: this is one of the logs; give another file")

    from gan_kd_ssd.analysis.page import page
    from gan_kd_ssd.analysis.plot import draw

    logs = [read(path) for path in options.logs]
    runs = [analyse(log, options.number) for log in logs]
    references = [] if options.reference == NONE else _references(runs, options.reference)
    content = draw(runs, references, "svg" if options.html else out.suffix.lower()[1:])
    if options.html:
        (log,), (mine,), (reference,) = logs, runs, references
        command = command_of(log, mine.run).line() if mine.run.start else None
        found = compare(mine, reference)
        text = page(found, mine, reference, content, command, log.unknown)
        content = text.encode("utf-8", "backslashreplace")
    write_atomically(out, lambda file: file.write_bytes(content))
    put(f"{out}\n")
    return 0


def _tables(options) -> int:
    from gan_kd_ssd.paper.paper_tables import best_runs, runs_in, tables_as_dict, tables_text

    found = best_runs(runs_in(options.folder)) if options.folder else {}
    put(to_json(tables_as_dict(found)) if options.json else tables_text(found))
    return 0


def run(words: Sequence[str]) -> int:
    """Run one command and return its exit code.

    Raises:
        UserError: The command was used wrongly, or a file cannot be read.
    """
    options = parser().parse_args(with_dashes(words))
    return options.run(options)
