"""``gan-kd zoo``: the commands and their options. Work is imported when asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from gan_kd_ssd.config.parser import Parser, run_command, with_dashes
from gan_kd_ssd.util.errors import UserError, exit_on_user_error
from gan_kd_ssd.util.tables import put

PROGRAM = "gan-kd zoo"


def parser() -> Parser:
    """The command line."""
    top = Parser(
        prog=PROGRAM,
        description="Networks by name: those of the paper's tables, and trained weights where they "
        "are published. $GAN_KD_SSD_REPO is the address of the repository of weights: "
        "https://host/path, http://host/path or file:/path/to/folder.",
        epilog="Weights are kept in $MXNET_HOME/models, else ~/.mxnet/models, beside GluonCV's.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run, text: str, root: bool = True, json: bool = False) -> Parser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        if root:
            added.add_argument("--root", metavar="DIR", help="the folder of weights")
        if json:
            added.add_argument("--json", action="store_true", help="print JSON")
        return added

    text = "the names, what they are, and whether there are weights"
    command("list", _list, text, json=True)

    added = command("show", _show, "what a name is, what trains it, and its files", json=True)
    added.add_argument("name", metavar="NAME")

    text = "bring weights here, GluonCV's too; prints their paths"
    _fetch_options(command("fetch", _fetch, text))

    text = "release the best weights of a training run"
    _publish_options(command("publish", _publish, text, root=False))

    text = "read all weights through; exit code 1 if any is damaged"
    command("verify", _verify, text, json=True)

    added = command("purge", _purge, "remove weights that this zoo fetched, never GluonCV's")
    added.add_argument("names", nargs="*", metavar="NAME")
    added.add_argument("--all", action="store_true", help="of every name")
    return top


def _fetch_options(added: Parser) -> None:
    add = added.add_argument
    add("names", nargs="+", metavar="NAME")
    add("--version", metavar="HEX", help="8 digits, of one NAME (default: the newest)")
    add("--quiet", action="store_true", help="no progress bar")


def _publish_options(added: Parser) -> None:
    add = added.add_argument
    add("run_prefix", metavar="RUN", help="its --save-prefix, _best.params or folder")
    add("--to", default="zoo", metavar="DIR", help="the folder of releases, made if need be")
    add("--name", metavar="NAME", help="where the one that follows from its options is not meant")
    add("--licence", metavar="TEXT", help="of the weights, for the card")


def _list(options) -> int:
    from gan_kd_ssd.zoo.listing import rows, table
    from gan_kd_ssd.zoo.store import Store

    found = rows(Store(options.root))
    put(_json([row.as_dict() for row in found]) if options.json else table(found))
    return 0


def _show(options) -> int:
    from gan_kd_ssd.zoo.listing import facts, facts_text
    from gan_kd_ssd.zoo.store import Store

    found = facts(Store(options.root), options.name.lower())
    put(_json(found) if options.json else facts_text(found))
    return 0


def _fetch(options) -> int:
    from gan_kd_ssd.zoo.names import ours
    from gan_kd_ssd.zoo.store import Store, version_of

    if options.version and len(options.names) > 1:
        raise UserError("--version: is of one network; name one")
    version = version_of(options.version) if options.version else None
    store = Store(options.root, quiet=options.quiet)
    for name in map(str.lower, options.names):
        if ours(name):
            path = store.fetch(name, version).path
        else:
            from gan_kd_ssd.zoo.zoo_networks import gluoncv_file

            path = gluoncv_file(name, options.root)
        put(f"{path}\n")
    return 0


def _publish(options) -> int:
    from pathlib import Path

    from gan_kd_ssd.zoo.publish import publish

    entry = publish(options.run_prefix, options.to, options.name, options.licence)
    folder = Path(options.to).expanduser()
    put(
        f"{folder / entry.file}: {entry.name}, mAP {entry.mean_ap:.4f}, {entry.size:,} bytes\n"
        f"card: {folder / entry.fields['card']}\n"
        f"served by: export GAN_KD_SSD_REPO=file:{folder.resolve()}\n"
    )
    return 0


def _verify(options) -> int:
    from gan_kd_ssd.zoo.store import Store
    from gan_kd_ssd.zoo.upkeep import verify

    store = Store(options.root)
    checked = verify(store)
    if options.json:
        put(_json([one._asdict() for one in checked]))
    else:
        width = max((len(one.file) for one in checked), default=0)
        lines = [f"{one.file:<{width}}  {one.damage or 'whole'}\n" for one in checked]
        put("".join(lines) or f"no weights of ours in {store.root}\n")
    return 1 if any(one.damage for one in checked) else 0


def _purge(options) -> int:
    from gan_kd_ssd.zoo.names import GLUONCV_PUBLISHES, ours, paper_names, unknown
    from gan_kd_ssd.zoo.store import Store
    from gan_kd_ssd.zoo.upkeep import purge

    if bool(options.names) == options.all:
        raise UserError("purge: give names, or --all, and not both")
    store, chosen = Store(options.root), set()
    for name in map(str.lower, options.names):
        what = ours(name)
        if name in GLUONCV_PUBLISHES:
            raise UserError(f"{name}: is GluonCV's; nothing was removed")
        if what is None:
            raise unknown(name, [*paper_names(), *(e.name for e in store.entries())])
        chosen.add(str(what))
    removed = purge(store, None if options.all else chosen)
    put("".join(f"removed {path}\n" for path in removed) or f"nothing there in {store.root}\n")
    return 0


def _json(content) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def run(words: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code.

    Raises:
        UserError: wrong use, or something that cannot be had, read or written.
    """
    options = parser().parse_args(with_dashes(sys.argv[1:] if words is None else words))
    return run_command(options)


def main(words: Sequence[str] | None = None) -> int:
    """As :func:`run`; what a user can mend is one line on stderr and exit code 2."""
    return exit_on_user_error(PROGRAM, run, words)
