"""A training run on disk, as far as its weights are published: what it is, and how good."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

from gan_kd_ssd.analysis.arguments import command_of
from gan_kd_ssd.config.command import Command
from gan_kd_ssd.detectors.names import kind_of, read_name
from gan_kd_ssd.engine.runlog import prefix_of
from gan_kd_ssd.logs.log import Log, Run
from gan_kd_ssd.logs.read import read
from gan_kd_ssd.logs.records import EpochEnd, Validation
from gan_kd_ssd.logs.resume import resumed
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.zoo.names import DATA, GLUONCV_PUBLISHES, KNOWN_DATA, Name, parse


@dataclass(frozen=True)
class Trained:
    """A run whose best weights can be published.

    Attributes:
        prefix: of its files. run: its last start in the log that trained. info: facts of its first line.
        best: the validation that chose the weights. last_epoch: trained. command: that repeats it.
        name: that follows from its options.
    """

    prefix: str
    run: Run
    info: dict
    best: Validation
    last_epoch: int
    command: Command
    name: Name

    def file(self, kind: str) -> Path:
        """``best.params``, ``train.log``, ``metrics.jsonl`` of the run."""
        return Path(f"{self.prefix}_{kind}")

    @property
    def options(self) -> dict:
        return self.run.namespace


def find(text: str) -> Trained:
    """The run of a prefix, of a ``.params`` file of it, or the one in a folder.

    Raises:
        UserError: there is none, or it has not come to weights with a mAP.
    """
    prefix = _prefix(text)
    for kind in ("metrics.jsonl", "train.log", "best.params"):
        if not Path(f"{prefix}_{kind}").is_file():
            raise UserError(
                f"{prefix}_{kind}: not there: not a whole run of ours; give the --save-prefix of one "
                "that has come to its first validation"
            )
    log = read(f"{prefix}_metrics.jsonl")
    chain = _chain(log)
    run, options = chain[-1], chain[-1].namespace
    info = dict(run.start.record.info) if run.start else {}
    if "student" not in options or not isinstance(info.get("classes"), list):
        raise UserError(
            f"{prefix}_metrics.jsonl: does not tell student and classes: not a run of train_ssd_gkd.py "
            "or train_faster_rcnn_gkd.py"
        )
    epochs = [entry.record.epoch for part in chain for entry in part.of(EpochEnd)]
    return Trained(
        prefix,
        run,
        info,
        _best(chain, prefix),
        max(epochs, default=0),
        command_of(log, run),
        _name(options, info),
    )


def _prefix(text: str) -> str:
    path = Path(text).expanduser()
    if path.is_dir() and not Path(f"{path}_metrics.jsonl").exists():
        found = sorted(path.glob("*_metrics.jsonl"))
        if len(found) != 1:
            runs = ", ".join(one.name for one in found[:5]) or "none"
            raise UserError(
                f"{text}: name one run by its --save-prefix; there are {len(found)} *_metrics.jsonl in "
                f"the folder ({runs})"
            )
        return str(found[0])[: -len("_metrics.jsonl")]
    return prefix_of(path)


def _chain(log: Log) -> list[Run]:
    """The last run of a log with figures, after the runs whose state it went on from.

    Whole, other than :func:`gan_kd_ssd.logs.resume.with_resumed` has them: the best weights may be of an
    epoch that was trained again, and came out worse.
    """
    chain = [log.last_trained or log.runs[-1]]
    while str(chain[0].namespace.get("resume", "")).endswith(".zip"):
        before = resumed(log, chain[0])
        if before is None:
            break
        chain.insert(0, before)
    return chain


def _best(chain: list[Run], prefix: str) -> Validation:
    """The validation that the weights in ``_best.params`` were kept after."""
    found = [entry.record for run in chain for entry in run.of(Validation)]
    found = [v for v in found if v.mean is not None and math.isfinite(v.mean)]
    if not found:
        raise UserError(
            f"{prefix}_metrics.jsonl: no validation with a finite mAP; let the run come to one"
        )
    try:
        lines = Path(f"{prefix}_best_map.log").read_text(encoding="utf-8").split("\n")
        epoch, _, value = [line for line in lines if line][-1].partition(":\t")
    except (OSError, ValueError, IndexError):
        return max(found, key=lambda v: v.mean)
    for validation in reversed(found):
        if (f"{validation.epoch:04d}", f"{validation.mean:.4f}") == (epoch, value):
            return validation
    raise UserError(
        f"{prefix}_best_map.log: its last line (epoch {epoch}, mAP {value}) is of no validation in "
        f"{prefix}_metrics.jsonl: the files of several runs are mixed up; publish a run of its own"
    )


def _name(options: dict, info: dict) -> Name:
    """The name that follows from a run's options."""
    kind = kind_of(options, info)
    faster = kind == "faster_rcnn"
    distilled = options.get("distill") == "gan"
    student = read_name(options["student"], kind)
    teacher = read_name(options["teacher"], kind).backbone if distilled else None
    name = Name(
        kind,
        student.backbone,
        _data(str(options["dataset"]), faster),
        size=None if faster else options["data_shape"],
        teacher=teacher,
        cosine=distilled and bool(options.get("cosine_attention")),
        roi_mode=options.get("roi_mode", "align") if faster else None,
        fpn=student.fpn or (faster and bool(options.get("use_fpn"))),
    )
    if str(name) in GLUONCV_PUBLISHES:
        name = replace(name, plain=True)
    if parse(str(name)) != name:
        raise UserError(f"{name}: no name that this zoo has; its networks are those of the scripts")
    return name


def _data(dataset: str, faster: bool) -> str:
    """A data set's part of the name; that of a folder is the folder's, as far as it has letters."""
    if faster and dataset == "voc07":
        return "voc"  # as in the published run, whose voc is VOC 07
    word = re.sub(r"[^a-z0-9]", "", Path(dataset).name.lower())
    taken = word in KNOWN_DATA and dataset not in KNOWN_DATA.values()
    return word if re.fullmatch(DATA, word, re.ASCII) and not taken else f"data{word}"


def checked_name(trained: Trained, text: str) -> Name:
    """A name that somebody chose for a run.

    It may name the data set otherwise where that is a folder, and say ``_plain``; the rest is the run's.

    Raises:
        UserError: it does not fit.
    """
    name = parse(text)
    if name is None:
        raise UserError(f"--name {text!r}: is not of the form of {trained.name}")
    own = trained.name
    # A folder may be called as its owner likes, but not like a data set that it is not.
    folder = str(trained.options["dataset"]) not in KNOWN_DATA.values()
    data = name.data if folder and name.data not in KNOWN_DATA else own.data
    plain = name.plain if own.teacher is None else False
    if replace(own, data=data, plain=plain) != name or str(name) in GLUONCV_PUBLISHES:
        raise UserError(
            f"--name {text}: does not fit the run, which is {own}"
            + (f" (of {trained.options['dataset']})" if folder else "")
        )
    return name
