"""``gan-kd logs``: the commands and their options. Work is imported when asked for."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from gan_kd_ssd.config.parser import run_command
from gan_kd_ssd.util.errors import UserError, exit_on_user_error
from gan_kd_ssd.util.tables import put

PROGRAM = "gan-kd logs"


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UserError(f"{message} (see --help)")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = _Parser(prog=PROGRAM, description="Read, repeat, compare and plot training logs.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    added = command("write", _write, "parse a log and write it again to standard output")
    added.add_argument("log", help="a text log, or a *_metrics.jsonl, which becomes one")

    added = command("show", _show, "runs, phases, mAP, speed, and what was not understood")
    added.add_argument("log")
    _add_last(added)
    added.add_argument("--json", action="store_true", help="print JSON")

    added = command("args", _args, "the command line that repeats the run")
    added.add_argument("log")
    _add_run(added)

    added = command(
        "compare",
        _compare,
        "a run against the published one: exit code 0 within, "
        "1 outside, 3 not comparable, 2 wrong use",
    )
    added.add_argument("log", metavar="MINE")
    _add_reference(added)
    _add_run(added)
    _add_last(added)
    added.add_argument(
        "--format", choices=("table", "markdown", "json"), default="table", help="default: table"
    )

    added = command("plot", _plot, "curves of runs over the published one")
    added.add_argument("logs", nargs="+", metavar="LOG")
    _add_reference(added)
    _add_run(added)
    added.add_argument("--out", help="file to write (default: beside the first log)")
    added.add_argument(
        "--html", action="store_true", help="a page of one run: arguments, verdicts, curves"
    )

    added = command("tables", _tables, "the paper's tables, our runs, and the commands")
    added.add_argument("folder", nargs="?", help="where our *_train.log are, at any depth")
    added.add_argument("--json", action="store_true", help="print JSON")

    added = command("derive", _derive, "a log as the tables that the folder logs/ keeps")
    added.add_argument("log")
    added.add_argument("--licence", default="see the source", help="a line that the tables keep")
    return top


def _add_last(parser) -> None:
    parser.add_argument(
        "--last", type=_positive, default=5, metavar="K", help="validations in a mean (default: 5)"
    )


def _add_run(parser) -> None:
    parser.add_argument(
        "--run",
        dest="number",
        type=_positive,
        metavar="N",
        help="of the log, as show counts them (default: the last with figures)",
    )


def _add_reference(parser) -> None:
    parser.add_argument(
        "--reference",
        metavar="ssd|faster_rcnn|FILE",
        help="default: the published log of the same detector",
    )


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) < 10**6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _write(options) -> int:
    from gan_kd_ssd.logs.log import encode
    from gan_kd_ssd.logs.read import read

    sys.stdout.flush()
    sys.stdout.buffer.write(encode(read(options.log, figures=False).text()))
    return 0


def _show(options) -> int:
    from gan_kd_ssd.analysis.show import show_text
    from gan_kd_ssd.analysis.summary import summarize
    from gan_kd_ssd.logs.read import read

    summary = summarize(read(options.log), options.last)
    put(_json(summary) if options.json else show_text(summary))
    return 0


def _args(options) -> int:
    from gan_kd_ssd.analysis.arguments import command_of
    from gan_kd_ssd.analysis.facts import run_of
    from gan_kd_ssd.logs.read import read

    log = read(options.log)
    command = command_of(log, run_of(log, options.number) if options.number else None)
    for remark in command.remarks:
        print(f"# {remark}", file=sys.stderr)
    put(command.line() + "\n")
    return 0


def _subjects(paths, options):
    """The logs at ``paths``, their runs, and the references: one, or one for each detector."""
    from gan_kd_ssd.analysis.facts import subject
    from gan_kd_ssd.logs.published import REFERENCES, reference
    from gan_kd_ssd.logs.read import read

    logs = [read(path) for path in paths]
    mine = [subject(log, options.number) for log in logs]
    names = [options.reference] if options.reference else []
    for path, one in zip(paths, mine) if not names else ():
        if one.detector is None:
            raise UserError(
                f"{path}: its losses are not those of a published log: name one by --reference"
            )
        names += [one.detector] if one.detector not in names else []
    references = [
        subject(reference(name), published=True) if name in REFERENCES else subject(read(name))
        for name in names
    ]
    return logs, mine, references


def _compare(options) -> int:
    from gan_kd_ssd.analysis.compare import compare
    from gan_kd_ssd.analysis.report import markdown_text, table_text

    _, mine, references = _subjects([options.log], options)
    found = compare(mine[0], references[0], options.last)
    if options.format == "json":
        put(_json(found.as_dict()))
    else:
        put(table_text(found) if options.format == "table" else markdown_text(found))
    return found.exit_code


def _plot(options) -> int:
    from pathlib import Path

    from gan_kd_ssd.analysis import plot
    from gan_kd_ssd.util.files import write_atomically

    if options.html and len(options.logs) > 1:
        raise UserError(f"--html: shows one run, and {len(options.logs)} logs are named")
    suffix = ".html" if options.html else ".png"
    out = options.out or str(Path(options.logs[0]).with_suffix(suffix))
    kind = "svg" if options.html else plot.kind_of(out)
    if options.html and Path(out).suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--out {out}: name a file that ends in .html")
    if any(Path(out).resolve() == Path(log).resolve() for log in options.logs):
        raise UserError(f"--out {out}: is a log itself: name another file")
    logs, mine, references = _subjects(options.logs, options)
    picture = plot.draw(mine, references, kind)
    if options.html:
        picture = _page(logs[0], mine[0], references[0], picture).encode(
            "utf-8", "backslashreplace"
        )
    write_atomically(Path(out), lambda file: file.write_bytes(picture))
    put(f"{out}\n")
    return 0


def _page(log, mine, reference, picture: bytes) -> str:
    from gan_kd_ssd.analysis.arguments import command_of
    from gan_kd_ssd.analysis.compare import compare
    from gan_kd_ssd.analysis.page import page

    command = command_of(log, mine.run).line() if mine.run.start else None
    facts = {"command": command, "not_understood": log.unknown}
    return page(mine, reference, compare(mine, reference), picture, facts)


def _tables(options) -> int:
    from gan_kd_ssd.paper.tables import find_runs, runs_in, tables_as_dict, tables_text

    found = find_runs(runs_in(options.folder)) if options.folder else {}
    put(_json(tables_as_dict(found)) if options.json else tables_text(found))
    return 0


def _derive(options) -> int:
    from pathlib import Path

    from gan_kd_ssd.logs.published import tables_text, to_tables
    from gan_kd_ssd.logs.read import read

    tables = to_tables(read(options.log), Path(options.log).name, options.licence)
    put(tables_text(tables))
    return 0


def _json(content) -> str:
    from gan_kd_ssd.analysis.plain import plain

    return json.dumps(plain(content), indent=1, allow_nan=False) + "\n"


def run(words: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code.

    Raises:
        UserError: wrong use, or a file that cannot be read.
    """
    options = parser().parse_args(words)
    return run_command(options)


def main(words: Sequence[str] | None = None) -> int:
    """As :func:`run`; what a user can mend is one line on stderr and exit code 2."""
    return exit_on_user_error(PROGRAM, run, words)
