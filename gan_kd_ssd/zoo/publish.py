"""Publish a training run: copy its best weights into a repository, with a model card."""

from __future__ import annotations

import datetime
import math
import re
import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from gan_kd_ssd.analysis.arguments import command_of
from gan_kd_ssd.config.command import Command
from gan_kd_ssd.detectors.names import NetworkName, kind_of, read_name
from gan_kd_ssd.distill.options import inferred_options
from gan_kd_ssd.logs.log import Log, Run
from gan_kd_ssd.logs.read import read
from gan_kd_ssd.logs.records import EpochEnd, Validation
from gan_kd_ssd.logs.resume import resumed
from gan_kd_ssd.logs.run_metadata import (
    RunMetadata,
    TeacherMetadata,
    metadata_from_json,
    prefix_of,
)
from gan_kd_ssd.util import files
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.zoo.model_names import DATA, GLUONCV_PUBLISHES, NAMED_DATA, ModelName, parse
from gan_kd_ssd.zoo.releases import INDEX, Release, index_json, parse_index, release_of, to_json

#: The files of a run that are published: kind -> key in the index.
_FILES = {"best.params": "file", "train.log": "log", "metrics.jsonl": "metrics"}
#: Meaning of the option --metric. Runs that lack it used the published metric.
_METRICS = {
    "voc07": "VOC07, IoU 0.5",
    "voc12": "VOC12, IoU 0.5",
    "coco": "COCO, IoU 0.5 to 0.95",
}


@dataclass(frozen=True)
class TrainedRun:
    """A training run whose best weights can be published."""

    prefix: str
    metadata: RunMetadata
    best: Validation  # the validation that selected the weights
    last_epoch: int
    command: Command  # repeats the run
    name: ModelName  # follows from its options

    @property
    def options(self) -> dict:
        return self.metadata.namespace

    @property
    def teacher(self) -> TeacherMetadata | None:
        distillation = self.metadata.distillation
        return distillation and distillation.teacher

    def file(self, kind: str) -> Path:
        """The run's ``best.params``, ``train.log`` or ``metrics.jsonl``."""
        return Path(f"{self.prefix}_{kind}")


def publish(
    run: str | Path, to: str | Path, name: str | None = None, licence: str | None = None
) -> Release:
    """Publish the best weights of a run in a repository, as the newest release of their name.

    The index is written last, so that its readers find every file complete. Publishing the same run
    again changes only the time.

    Args:
        run: The prefix of a run's files, its ``.params`` file or its folder.
        to: The folder of the repository; it is created.
        name: A name that replaces the one derived from the run's options.
        licence: The licence of the weights, one line for the card.

    Raises:
        UserError: The run is incomplete, the name contradicts it, the weights belong to another
            network, or the folder cannot be written.
    """
    trained = find_run(str(run))
    what = _checked_name(trained, name) if name else trained.name
    weights = trained.file("best.params")
    sides = _check_weights(trained, what)
    folder = files.writable_folder(Path(to).expanduser(), "--to")
    with files.locked(folder / f".{INDEX}.lock"):
        path = folder / INDEX
        models = parse_index(path.read_bytes(), str(path)) if path.exists() else {}
        release = release_of(_fields(trained, what, sides, licence))
        released = {}
        for kind, key in _FILES.items():
            target = folder / release.fields[key]
            files.write_atomically(target, partial(shutil.copyfile, trained.file(kind)))
            released[target.name] = (*files.digests(target, ["sha256"]), target.stat().st_size)
        if released[release.file] != (release.weights.sha256, release.weights.size):
            raise UserError(f"{weights} is still being written; publish it after the run has ended")
        files.write_text(folder / f"{release.stem}.md", card(release, trained, released))
        files.write_text(folder / f"{release.stem}.json", to_json(release.fields))
        others = [r for r in models.get(release.name, ()) if r.weights.sha1 != release.weights.sha1]
        files.write_text(path, index_json({**models, release.name: [*others, release]}))
    return release


def card(release: Release, trained: TrainedRun, released: dict[str, tuple[str, int]]) -> str:
    """The model card in Markdown; ``released`` has sha256 and size in bytes of each published file."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = lambda value: " ".join(str(value).split()).replace("|", "\\|")
    environment.tests["missing"] = lambda value: value is None or value != value
    what = release.what
    return environment.get_template("card.md.j2").render(
        release=release,
        fields=release.fields,
        what=what,
        cell=what.cell,
        trained=trained,
        metadata=trained.metadata,
        teacher=trained.teacher,
        teacher_is_gluoncvs=what.teacher_name() in GLUONCV_PUBLISHES,
        inferred={k: text for k, text in inferred_options().items() if k in trained.options},
        files=released,
    )


def find_run(text: str) -> TrainedRun:
    """The run of a prefix, of one of its ``.params`` files, or of a folder with one run.

    Raises:
        UserError: There is no such run, or it has no weights with a finite mAP.
    """
    prefix = _prefix(text)
    for kind in reversed(_FILES):
        if not Path(f"{prefix}_{kind}").is_file():
            raise UserError(
                f"{prefix}_{kind}: no such file; give the --save-prefix of a run that has completed "
                "its first validation"
            )
    log = read(f"{prefix}_metrics.jsonl")
    chain = _chain(log)
    run = chain[-1]
    info = run.start.record.info if run.start else {}
    metadata = metadata_from_json({**info, "namespace": run.namespace})
    if "student" not in metadata.namespace or metadata.classes is None:
        raise UserError(
            f"{prefix}_metrics.jsonl does not name student and classes; give a run of "
            "train_ssd_gkd.py or train_faster_rcnn_gkd.py"
        )
    epochs = [entry.record.epoch for part in chain for entry in part.of(EpochEnd)]
    best, last_epoch = _best(chain, prefix), max(epochs, default=0)
    return TrainedRun(prefix, metadata, best, last_epoch, command_of(log, run), _name(metadata))


def _prefix(text: str) -> str:
    path = Path(text).expanduser()
    if path.is_dir() and not Path(f"{path}_metrics.jsonl").exists():
        found = sorted(path.glob("*_metrics.jsonl"))
        if len(found) != 1:
            runs = ", ".join(one.name for one in found[:5]) or "none"
            raise UserError(
                f"{text}: the folder holds {len(found)} runs ({runs}); name one by its --save-prefix"
            )
        return str(found[0])[: -len("_metrics.jsonl")]
    return prefix_of(path)


def _chain(log: Log) -> list[Run]:
    """The last run of a log that trained, preceded by the runs whose states it resumed.

    The runs are complete, unlike those of :func:`gan_kd_ssd.logs.resume.with_resumed`: the best weights
    may come from an epoch that was trained again after the resume, with a worse result.
    """
    chain = [log.last_trained or log.runs[-1]]
    while str(chain[0].namespace.get("resume", "")).endswith(".zip"):
        before = resumed(log, chain[0])
        if before is None:
            break
        chain.insert(0, before)
    return chain


def _best(chain: list[Run], prefix: str) -> Validation:
    """The validation after which ``_best.params`` was saved."""
    found = [entry.record for run in chain for entry in run.of(Validation)]
    found = [v for v in found if v.mean is not None and math.isfinite(v.mean)]
    if not found:
        raise UserError(
            f"{prefix}_metrics.jsonl: no validation with a finite mAP; train until there is one"
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
        f"{prefix}_best_map.log: no validation in {prefix}_metrics.jsonl matches its last line (epoch "
        f"{epoch}, mAP {value}): the files of several runs are mixed; publish an unmixed run"
    )


def _name(metadata: RunMetadata) -> ModelName:
    """The name that follows from a run's options."""
    options = metadata.namespace
    kind = kind_of(options, {"detector": metadata.detector})
    distill = options.get("distill") or "none"
    if distill not in ("gan", "none"):
        raise UserError(f"--distill {distill}: zoo names exist only for gan and none")
    is_ssd, distilled = kind == "ssd", distill == "gan"
    student = read_name(options["student"], kind)
    if is_ssd:
        own = {"data_shape": options["data_shape"]}
    else:
        own = {"fpn": student.fpn or bool(options.get("use_fpn"))}
    name = ModelName(
        NetworkName(kind, student.backbone, **own),
        _data(str(options["dataset"]), is_ssd),
        teacher=read_name(options["teacher"], kind).backbone if distilled else None,
        cosine=distilled and bool(options.get("cosine_attention")),
        roi_mode=None if is_ssd else options.get("roi_mode", "align"),
    )
    if str(name) in GLUONCV_PUBLISHES:
        name = replace(name, plain=True)
    if parse(str(name)) != name:
        raise UserError(f"{name} is not a valid name; names have the form of `gan-kd zoo list`")
    return name


def _data(dataset: str, is_ssd: bool) -> str:
    """The data set's part of the name: for a folder, the letters and digits of the folder's name."""
    if not is_ssd and dataset == "voc07":
        return "voc"  # as in the published run, whose voc is VOC 07
    word = re.sub(r"[^a-z0-9]", "", Path(dataset).name.lower())
    taken = word in NAMED_DATA and dataset not in NAMED_DATA.values()
    return word if re.fullmatch(DATA, word, re.ASCII) and not taken else f"data{word}"


def _checked_name(trained: TrainedRun, text: str) -> ModelName:
    """A name chosen by the user. It may rename a data set that is a folder, and add ``_plain``."""
    name = parse(text)
    if name is None:
        raise UserError(f"--name {text!r} does not have the form of {trained.name}")
    own = trained.name
    folder = str(trained.options["dataset"]) not in NAMED_DATA.values()
    data = name.data if folder and name.data not in NAMED_DATA else own.data
    plain = name.plain if own.teacher is None else False
    if replace(own, data=data, plain=plain) != name or str(name) in GLUONCV_PUBLISHES:
        dataset = f" (trained on {trained.options['dataset']})" if folder else ""
        raise UserError(f"--name {text} contradicts the run, which is {own}{dataset}")
    return name


def _check_weights(trained: TrainedRun, what: ModelName) -> tuple[int, ...]:
    """Load the weights into their network; return its input size as in :class:`Release`."""
    import numpy as np

    from gan_kd_ssd.util.mxnet import mx
    from gan_kd_ssd.zoo.networks import build

    weights, settings = trained.file("best.params"), {}
    if not what.is_ssd:
        settings = {key: trained.options.get(key) for key in ("short", "max_size", "norm_layer")}
    detector = build(what, classes=trained.metadata.classes, **settings)
    detector.load(weights, [mx.cpu()], option="publish")
    for name, value in mx.nd.load(str(weights)).items():
        if not np.isfinite(value.asnumpy()).all():
            raise UserError(f"{weights}: {name} has a value that is not finite; train again")
    return (what.size,) if what.is_ssd else (detector.short, detector.max_size)


def _fields(
    trained: TrainedRun, what: ModelName, sides: tuple[int, ...], licence: str | None
) -> dict:
    """The JSON of the release."""
    metadata, best, options = trained.metadata, trained.best, trained.options
    weights = trained.file("best.params")
    sha1, sha256 = files.digests(weights)
    stem = f"{what}-{sha1[:8]}"
    teacher, metric = trained.teacher, options.get("metric") or "voc07"
    if teacher:  # without the folders of the machine that trained it
        teacher = replace(teacher, file=Path(teacher.file).name).to_json()
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "name": str(what),
        "file": f"{stem}.params",
        "sha1": sha1,
        "sha256": sha256,
        "size": weights.stat().st_size,
        "network": str(what.network),
        "data_shape": sides[0] if what.is_ssd else list(sides),
        "norm_layer": options.get("norm_layer"),
        "classes": list(metadata.classes),
        "parameters": metadata.parameters,
        "teacher": teacher and {"network": what.teacher, **teacher},
        "mAP": best.mean,
        "class_mAP": {k: None if v is None or v != v else v for k, v in best.classes.items()},
        "metric": _METRICS.get(metric, str(metric)),
        "evaluated_on": str(metadata.data.get("val", {}).get("name", "validation data")),
        "epoch": best.epoch,
        "last_epoch": trained.last_epoch,
        "command": trained.command.line(),
        "namespace": dict(options),
        "versions": dict(metadata.versions),
        "licence": " ".join((licence or "not stated by their publisher").split()),
        "card": f"{stem}.md",
        "log": f"{stem}_train.log",
        "metrics": f"{stem}_metrics.jsonl",
        "published": now.isoformat(timespec="microseconds"),
    }
