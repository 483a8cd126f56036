"""``gan-kd zoo``: the model zoo."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.config.parser import Parser, with_dashes
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.tables import put

_ROOT = "folder of weights (default: $MXNET_HOME/models, else ~/.mxnet/models)"
_NAME = "name in `gan-kd zoo list`, or row in `gan-kd experiments list`"


def parser() -> Parser:
    """The parser of ``gan-kd zoo``."""
    top = Parser(
        prog="gan-kd zoo",
        description="List networks by name, and download or publish their trained weights. The "
        "environment variable GAN_KD_SSD_REPO holds the address of a repository of weights: a folder, "
        "https://host/path, http://host/path or file:/path/to/folder.",
        epilog="Weights are stored in $MXNET_HOME/models, else ~/.mxnet/models, together with those of "
        "GluonCV. NAME is a name in `gan-kd zoo list` or a row in `gan-kd experiments list`.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run, text: str, root: bool = True, json: bool = False) -> Parser:
        added = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        added.set_defaults(run=run)
        if root:
            added.add_argument("--root", metavar="DIR", help=_ROOT)
        if json:
            added.add_argument("--json", action="store_true", help="print JSON")
        return added

    command("list", _list, "list the networks and whether their weights are available", json=True)
    added = command("show", _show, "show a network, its training command and its files", json=True)
    added.add_argument("name", metavar="NAME", help=_NAME)

    text = "download weights of this zoo or of GluonCV and print their paths"
    added = command("fetch", _fetch, text)
    added.add_argument("names", nargs="+", metavar="NAME", help=_NAME)
    text = "version of a single NAME, 8 hexadecimal digits (default: the newest)"
    added.add_argument("--version", metavar="HEX", help=text)
    added.add_argument("--quiet", action="store_true", help="show no progress bar")

    text = "publish the best weights of a training run and print their name"
    add = command("publish", _publish, text, root=False).add_argument
    add("run_prefix", metavar="RUN", help="--save-prefix, _best.params file or folder of the run")
    add("--to", default="zoo", metavar="DIR", help="folder to publish in")
    add("--name", metavar="NAME", help="name of the network (default: from the run's options)")
    add("--licence", metavar="TEXT", help="licence of the weights, shown on the model card")

    text = "verify the checksums of all stored weights; exit code 1 if a file is damaged"
    command("verify", _verify, text, json=True)

    added = command("purge", _purge, "remove stored weights of this zoo; those of GluonCV are kept")
    added.add_argument("names", nargs="*", metavar="NAME", help=_NAME)
    added.add_argument("--all", action="store_true", help="remove the weights of all networks")
    return top


def _list(options) -> int:
    from gan_kd_ssd.zoo.listing import rows, table
    from gan_kd_ssd.zoo.releases import to_json
    from gan_kd_ssd.zoo.store import Store

    found = rows(Store(options.root))
    put(to_json(found) if options.json else table(found))
    return 0


def _show(options) -> int:
    from gan_kd_ssd.zoo.listing import facts, facts_text
    from gan_kd_ssd.zoo.releases import to_json
    from gan_kd_ssd.zoo.store import Store

    found = facts(Store(options.root), options.name)
    put(to_json(found) if options.json else facts_text(found))
    return 0


def _fetch(options) -> int:
    from gan_kd_ssd.zoo.model_names import full_name, ours
    from gan_kd_ssd.zoo.store import Store, version_of

    if options.version and len(options.names) > 1:
        raise UserError("--version: selects the weights of one network; give a single NAME")
    try:
        version = version_of(options.version)
    except UserError as error:
        wanted = "give 8 hexadecimal digits, as `gan-kd zoo show NAME` prints them"
        raise UserError(f"--version {options.version}: {wanted}") from error
    store = Store(options.root, quiet=options.quiet)
    for name in map(full_name, options.names):
        if ours(name):
            path = store.fetch(name, version).path
        else:
            from gan_kd_ssd.zoo.networks import fetch_from_gluoncv

            path = fetch_from_gluoncv(name, options.root)
        put(f"{path}\n")
    return 0


def _publish(options) -> int:
    from gan_kd_ssd.zoo.publish import publish

    release = publish(options.run_prefix, options.to, options.name, options.licence)
    folder = Path(options.to).expanduser()
    print(
        f"{folder / release.file}: mAP {release.mean_ap:.4f}, {release.weights.size:,} bytes\n"
        f"model card: {folder / release.fields['card']}\n"
        f"to use this repository: export GAN_KD_SSD_REPO={folder.resolve()}",
        file=sys.stderr,
    )
    put(f"{release.name}\n")
    return 0


def _verify(options) -> int:
    from gan_kd_ssd.util.tables import aligned
    from gan_kd_ssd.zoo.releases import to_json
    from gan_kd_ssd.zoo.store import Store

    store = Store(options.root)
    checked = store.verify()
    if options.json:
        put(to_json([{"file": file, "damage": damage} for file, damage in checked.items()]))
    elif checked:
        put(aligned([(file, damage or "intact") for file, damage in checked.items()]) + "\n")
    else:
        put(f"no weights of this zoo in {store.root}\n")
    return 1 if any(checked.values()) else 0


def _purge(options) -> int:
    from gan_kd_ssd.zoo.model_names import GLUONCV_PUBLISHES, full_name, ours, unknown
    from gan_kd_ssd.zoo.store import Store

    if bool(options.names) == options.all:
        raise UserError("purge: give either names or --all")
    store, chosen = Store(options.root), set()
    for name in map(full_name, options.names):
        what = ours(name)
        if name in GLUONCV_PUBLISHES:
            raise UserError(f"{name}: belongs to GluonCV; nothing was removed")
        if what is None:
            raise unknown(name, (release.name for release in store.releases()))
        chosen.add(str(what))
    removed = store.purge(None if options.all else chosen)
    put("".join(f"removed {path}\n" for path in removed) or f"nothing to remove in {store.root}\n")
    return 0


def run(words: Sequence[str]) -> int:
    """Run a command; return its exit code.

    Raises:
        UserError: The command was used wrongly.
    """
    options = parser().parse_args(with_dashes(words))
    return options.run(options)
