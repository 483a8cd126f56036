"""A training from its options to its end: what both detectors have in common.

What differs between them stands behind :class:`Kind`, in :mod:`gan_kd_ssd.engine.ssd_training` and
:mod:`gan_kd_ssd.engine.faster_rcnn_training`.
"""

from __future__ import annotations

import argparse
import sys
from abc import ABC, abstractmethod
from pathlib import Path

from gan_kd_ssd.config.distill_config import SGD, DistillConfig
from gan_kd_ssd.config.parser import class_names
from gan_kd_ssd.data.formats.catalog import open_dataset
from gan_kd_ssd.distill.head import inherit_head
from gan_kd_ssd.distill.method import distilled, plain
from gan_kd_ssd.engine import checkpoint, devices, interrupt, runlog
from gan_kd_ssd.engine.loop import Plan, Training
from gan_kd_ssd.evaluation.metrics import evaluate, metric_for
from gan_kd_ssd.logs.records import RunStart
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx


class Kind(ABC):
    """What a kind of detector asks of a training; ``options`` are those of its script."""

    #: Options that a resumed run must share with the one that wrote its state, beside FIXED; and
    #: those whose changes are only said, beside FREE.
    fixed: tuple[str, ...] = ()
    free: tuple[str, ...] = ()

    def __init__(self, options: argparse.Namespace, ctx: list):
        self.options, self.ctx = options, ctx

    @abstractmethod
    def plan(self, prefix: str) -> Plan:
        """Epochs, phases and learning rates."""

    @abstractmethod
    def family(self) -> str:
        """What the names of its networks begin with in GluonCV's zoo."""

    def name(self) -> str:
        """Of the run: prefix of its files where the options name none."""
        names, distils = self.networks(), self.options.distill != "none"
        both = f"{names['student']}_{names['teacher']}" if distils else names["student"]
        dataset = Path(self.options.dataset).name.lower()
        return f"{self.family()}_{both}_{dataset}" + ("_gkd" if distils else "")

    @abstractmethod
    def networks(self) -> dict[str, str]:
        """Names of student and teacher, without what differs in spelling alone."""

    @abstractmethod
    def data_set(self) -> str:
        """What :func:`~gan_kd_ssd.data.formats.catalog.open_dataset` calls the data set."""

    @abstractmethod
    def student(self, classes):
        """The student, with its first values."""

    @abstractmethod
    def teacher(self, classes):
        """The trained teacher, and its file."""

    @abstractmethod
    def train_batches(self, student, train_set):
        """Batches as the student's ``parts`` takes them."""

    @abstractmethod
    def val_batches(self, val_set):
        """Batches as :func:`~gan_kd_ssd.evaluation.metrics.evaluate` takes them."""


#: Options of both scripts that a resumed run must share with the one that wrote its state. Learning
#: rates may change (to go on after a divergence), and what has no effect on the figures.
FIXED = ("seed", "batch_size", "start_epoch", "metric")
FREE = (
    *("lr", "momentum", "wd", "lr_decay", "lr_decay_epoch"),
    *("gpus", "cpu_devices", "kv_store"),
)


def run(options: argparse.Namespace, kind: type[Kind], script: str) -> int:
    """Train as the options ask; returns the exit code.

    Raises:
        UserError: options, data, weights or files that cannot be used.
    """
    with interrupt.caught() as stop:
        try:
            _run(options, kind, stop)
        except interrupt.Interrupted as stopped:
            print(f"{script}: stopped by {stopped}", file=sys.stderr)
            return 128 + stopped.signum
    return 0


def _run(options, kind_class: type[Kind], stop: interrupt.Interrupt) -> None:
    ctx, device_line = devices.pick(options.gpus, options.cpu_devices)
    if options.batch_size is None:
        options.batch_size = len(ctx)
    devices.check_batch(options.batch_size, ctx)
    devices.check_kvstore(options.kv_store, ctx)
    kind = kind_class(options, ctx)
    prefix = save_prefix(options, kind)
    plan = kind.plan(prefix)
    log = runlog.RunLog(prefix, options.quiet)
    resumes_state = bool(options.resume) and checkpoint.is_state(Path(options.resume))
    best = Path(f"{prefix}_best.params")
    if best.exists() and not (resumes_state or options.overwrite):
        raise UserError(
            f"--save-prefix {prefix}: there is a run already ({best}); go on with --resume "
            f"{plan.state_path}, choose another prefix, or give --overwrite"
        )
    train_set, val_set = _open_data(options, kind)
    metric = options.metric = options.metric or metric_for(val_set)
    stop.check()
    mx.random.seed(options.seed)
    student = kind.student(train_set.classes)
    teacher, teacher_file = None, None
    if options.distill != "none":
        teacher, teacher_file = kind.teacher(train_set.classes)
    stop.check()

    sgd = SGD(options.lr, options.momentum, options.wd)
    config = DistillConfig.from_options(options)
    copied = None
    if teacher is None:
        method = plain(student, ctx, sgd, options.kv_store)
    else:
        mx.random.seed(options.seed + 1)  # the student starts the same, with or without a GAN
        method = distilled(student, teacher, ctx, sgd, options.kv_store, config)
        if config.student_head == "teacher" and not options.resume:
            copied = inherit_head(student, teacher, method.pairs)
    if options.resume and not resumes_state:
        student.load(Path(options.resume), ctx, "--resume")

    train_batches = kind.train_batches(student, train_set)
    val_batches = kind.val_batches(val_set)
    teacher_digest = teacher_file and runlog.sha256(teacher_file)
    training = Training(
        plan=plan,
        student=student,
        step_of=method.steps,
        figures=method.figures,
        blocks=method.blocks,
        trainers=method.trainers,
        train_batches=train_batches,
        validate=lambda progress: evaluate(student, val_batches, ctx, metric, progress, val_set),
        val_batches=len(val_batches),
        log=log,
        facts=_facts(options, config, kind, train_set, teacher_digest),
        interrupt=stop,
    )
    try:
        if resumes_state:
            training.load_state(Path(options.resume))
        info = {
            "detector": student.kind,
            "versions": runlog.versions(),
            "devices": [str(c) for c in ctx],
        }
        log.say(device_line)
        info.update(_describe(student, train_set, val_set, method.pairs, copied, log))
        if teacher is not None:
            log.say(f"teacher: {teacher_file}")
            result = evaluate(
                teacher, val_batches, ctx, metric, lambda _images: stop.check(), val_set
            )
            log.say(f"teacher: mAP {result.mean_ap:.4f} on {val_set.name}")
            info["teacher"] = {
                "file": str(teacher_file),
                "sha256": teacher_digest,
                "mAP": result.mean_ap,
            }
        if best.exists() and not resumes_state:
            log.say(f"{prefix}: an earlier run's log is continued, its parameters are replaced")
        log.write(RunStart(vars(options), info))
        try:
            training.run()
        except interrupt.Interrupted as stopped:
            where = f"epoch {training.progress.epoch}, batch {training.progress.batch}"
            again = f"go on with the same command and --resume {plan.state_path}"
            stopped.args = (f"{stopped} at {where}; {again}",)
            raise
    finally:
        train_batches.close()
        val_batches.close()


def save_prefix(options: argparse.Namespace, kind: Kind) -> str:
    """Prefix of a run's files: ``--save-prefix``, with a name of ours where it names none."""
    prefix = options.save_prefix
    return prefix if prefix and not prefix.endswith("/") else f"{prefix}{kind.name()}"


def _open_data(options, kind: Kind):
    common = {"data_root": options.data_root}
    train_set = open_dataset(
        kind.data_set(),
        "train",
        classes=class_names(options.classes),
        train_split=options.train_split,
        **common,
    )
    val_set = open_dataset(
        kind.data_set(),
        "val",
        classes=train_set.classes,
        val_split=options.val_split,
        **common,
    )
    return train_set, val_set


def _facts(options, config: DistillConfig, kind: Kind, train_set, teacher_digest) -> dict:
    """What a state keeps of its run, for :meth:`Training.load_state`."""
    fixed = {name: getattr(options, name) for name in (*FIXED, *kind.fixed)}
    fixed.update(config.fixed())
    names = kind.networks()
    fixed["student"] = names["student"]
    if teacher_digest:
        fixed["teacher"] = names["teacher"]
        fixed["sha256 of the teacher"] = teacher_digest
    fixed["classes"], fixed["training images"] = train_set.classes, len(train_set)
    free = {name: getattr(options, name) for name in (*FREE, *kind.free)}
    free.update(config.free())
    return {"fixed": fixed, "options": free}


def _describe(student, train_set, val_set, pairs, copied, log) -> dict:
    """Say what is trained on what; the same as plain facts for the JSON line."""
    info = {"parameters": student.parameter_count(), "classes": train_set.classes, "data": {}}
    for role, dataset in (("train", train_set), ("val", val_set)):
        log.say(
            f"{role}: {dataset.name}: {len(dataset)} images, {dataset.summary['objects']} objects"
        )
        if dataset.summary_line():
            log.say(f"{role}: {dataset.summary_line()}")
        info["data"][role] = {"name": dataset.name, **dataset.summary}
    seen = {int(i) for n in range(len(train_set)) for i in train_set.label(n)[:, 4]}
    without = [name for i, name in enumerate(train_set.classes) if i not in seen]
    if without:
        log.say(f"train: no object of {', '.join(without)}: nothing to learn of it")
    log.say(f"student: {student.name}, {student.parameter_count():,} parameters")
    if pairs is not None:
        strides = [pair.stride for pair in pairs]
        alone = sorted(set(student.strides) - set(strides))
        log.say(
            f"discriminators at strides {', '.join(map(str, strides))}"
            + (
                f"; none at {', '.join(map(str, alone))}: the teacher has no such level"
                if alone
                else ""
            )
        )
        info["strides"] = strides
        if copied is not None:
            log.say(
                f"student's head: the teacher's {', '.join(copied)}; its own elsewhere"
                if copied
                else "student's head: its own, the teacher's shapes differ"
            )
            info["inherited_head"] = copied
    return info
