"""``gan-kd zoo``: the model zoo."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.config.parser import Parser, with_dashes
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.tables import put


def parser() -> Parser:
    """The command line."""
    top = Parser(
        prog="gan-kd zoo",
        description="List networks by name, and fetch or publish their trained weights. The "
        "environment variable GAN_KD_SSD_REPO is the address of the repository of weights: a folder, "
        "https://host/path, http://host/path or file:/path/to/folder.",
        epilog="Weights are stored in $MXNET_HOME/models, else ~/.mxnet/models, together with "
        "GluonCV's. NAME is a name of `gan-kd zoo list` or a row of `gan-kd experiments list`.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run, text: str, root: bool = True, json: bool = False) -> Parser:
        added = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        added.set_defaults(run=run)
        if root:
            added.add_argument("--root", metavar="DIR", help="the folder of weights")
        if json:
            added.add_argument("--json", action="store_true", help="print JSON")
        return added

    command("list", _list, "list the names and whether weights are available", json=True)
    added = command("show", _show, "show a network, its training command and its files", json=True)
    added.add_argument("name", metavar="NAME", help="the network")

    added = command("fetch", _fetch, "download weights, GluonCV's as well, and print their paths")
    added.add_argument("names", nargs="+", metavar="NAME", help="a network")
    text = "8 hexadecimal digits of a version, for a single NAME (default: the newest)"
    added.add_argument("--version", metavar="HEX", help=text)
    added.add_argument("--quiet", action="store_true", help="show no progress bar")

    text = "publish the best weights of a training run and print their name"
    add = command("publish", _publish, text, root=False).add_argument
    add("run_prefix", metavar="RUN", help="the run's --save-prefix, _best.params file or folder")
    add("--to", default="zoo", metavar="DIR", help="the folder to publish in; it is created")
    add("--name", metavar="NAME", help="override the name derived from the run's options")
    add("--licence", metavar="TEXT", help="licence of the weights, shown on the model card")

    text = "read all stored weights and compare their checksums; exit code 1 if any are damaged"
    command("verify", _verify, text, json=True)

    added = command("purge", _purge, "remove weights of this zoo; GluonCV's are kept")
    added.add_argument("names", nargs="*", metavar="NAME", help="a network")
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
        raise UserError("--version: belongs to one network; give a single NAME")
    version = version_of(options.version) if options.version else None
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
    """Run a command; return its exit code. Raises a UserError for wrong use."""
    options = parser().parse_args(with_dashes(words))
    return options.run(options)
