"""Trainings, from the configuration to the last epoch, for both kinds of detectors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from gan_kd_ssd.config.parser import class_names
from gan_kd_ssd.config.shared_options import TrainConfig
from gan_kd_ssd.data.formats.catalog import open_dataset
from gan_kd_ssd.data.formats.dataset import Dataset
from gan_kd_ssd.detectors.base import Detector
from gan_kd_ssd.distill.head import inherit_head
from gan_kd_ssd.distill.method import Method, distilled, plain
from gan_kd_ssd.engine import checkpoint, devices, interrupt, schedule
from gan_kd_ssd.engine.checkpoint import Checkpoints
from gan_kd_ssd.engine.divergence import FiniteFigures, FiniteWeights
from gan_kd_ssd.engine.figure_sums import FigureSums
from gan_kd_ssd.engine.hooks import Hook, ProgressBar, SeedBatches, SharedStatistics
from gan_kd_ssd.engine.loop import Training
from gan_kd_ssd.engine.progress import Progress
from gan_kd_ssd.engine.provenance import versions
from gan_kd_ssd.engine.rates import LearningRates
from gan_kd_ssd.engine.runlog import RunLog
from gan_kd_ssd.engine.setup import SETUPS, DetectorSetup
from gan_kd_ssd.evaluation.metrics import Evaluation, evaluate, metric_for
from gan_kd_ssd.logs.records import RunStart
from gan_kd_ssd.logs.run_metadata import DistillationMetadata, RunMetadata, TeacherMetadata
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import digests
from gan_kd_ssd.util.mxnet import mx


def run(config: TrainConfig, program: str, hooks: Sequence[Hook] = ()) -> int:
    """Run a training and return its exit code.

    Args:
        program: name of the program, for the message after a signal.
        hooks: additional hooks, which are called before all others.

    Raises:
        UserError: devices, data, weights or files that cannot be used.
    """
    with interrupt.caught() as stop:
        try:
            _train(config, hooks, stop)
        except interrupt.Interrupted as stopped:
            print(f"{program}: stopped by {stopped}", file=sys.stderr)
            return 128 + stopped.signum
    return 0


@dataclass(frozen=True)
class ResolvedRun:
    """The resolved configuration of a training, its devices, log files and data.

    ``resumed_state`` is the state to continue from, or None.
    """

    config: TrainConfig
    ctx: list
    device_line: str
    log: RunLog
    resumed_state: Path | None
    train_set: Dataset
    val_set: Dataset
    stop: interrupt.Interrupt

    def evaluate(self, detector, batches, after_batch: Callable[[int], None]) -> Evaluation:
        """Measure a detector on the validation data."""
        metric = self.config.data.metric
        return evaluate(detector, batches, self.ctx, metric, after_batch, self.val_set)


@dataclass(frozen=True)
class Networks:
    """Student and teacher; the teacher, its file and its sha256 are None in a plain training."""

    student: Detector
    teacher: Detector | None = None
    teacher_file: Path | None = None
    teacher_sha256: str | None = None


def _train(config: TrainConfig, hooks: Sequence[Hook], stop: interrupt.Interrupt) -> None:
    run = _resolve(config, stop)
    setup = SETUPS[config.family](run.config, run.ctx)
    networks = _build_networks(run, setup)
    method, inherited = _build_method(run, networks)
    student, log = networks.student, run.log
    run = replace(run, config=run.config.resolved(**student.sizes))
    size, workers = run.config.schedule.batch_size, run.config.devices.num_workers
    with ExitStack() as stack:
        batches = setup.train_batches(student, run.train_set)
        stack.enter_context(closing(batches))
        val_batches = student.val_batches(run.val_set, size, len(run.ctx), workers)
        stack.enter_context(closing(val_batches))
        sums = FigureSums(method.figures, student.loss_names, run.config.output.log_interval)
        checkpoints = _checkpoints(run, networks, method, sums)
        progress = Progress(run.config.schedule.start_epoch)
        if run.resumed_state:
            progress = checkpoints.restore(run.resumed_state)
        standard = [
            stop,
            LearningRates(method.trainers, run.config, log),
            SeedBatches(run.config.data.seed),
            FiniteFigures(method.figures.entries, log.state),
            sums,
            setup.log_hook(log, sums),
            ProgressBar(student.loss_names, len(val_batches), run.config.output.quiet),
            SharedStatistics(student.net),
            FiniteWeights(student.net, log.state),
            checkpoints,
        ]
        training = Training(
            schedule.phases(run.config),
            method.steps,
            batches,
            size,
            lambda after_batch: run.evaluate(student, val_batches, after_batch),
            [*hooks, *standard],
            progress,
        )
        metadata = _describe(run, networks, method, inherited, val_batches)
        if log.best.exists() and run.resumed_state is None:
            log.say(
                f"{log.prefix}: appending to the log of an earlier run and replacing its parameters"
            )
        log.write(RunStart(metadata.namespace, metadata.info()))
        with stop.keeping(lambda: checkpoints.keep(progress)):
            training.run()


def _resolve(config: TrainConfig, stop: interrupt.Interrupt) -> ResolvedRun:
    """Find devices, files and data, and the defaults that depend on them.

    Raises:
        UserError: one of them cannot be used, or an earlier run would be overwritten.
    """
    ctx, device_line = devices.pick(config.devices.gpus, config.devices.cpu_devices)
    if config.schedule.batch_size is None:
        config = config.resolved(batch_size=len(ctx))
    devices.check(config.schedule.batch_size, ctx, config.devices.kv_store)
    log = RunLog(config.prefix, config.output.quiet)
    resume = config.output.resume
    state = Path(resume) if resume and checkpoint.is_state(Path(resume)) else None
    if log.best.exists() and not (state or config.output.overwrite):
        raise UserError(
            f"--save-prefix {log.prefix}: there is a run already ({log.best}); continue it with --resume "
            f"{log.state}, choose another prefix, or give --overwrite"
        )
    data, classes = config.data, class_names(config.data.classes)
    root, split = data.data_root, data.train_split
    train_set = open_dataset(
        data.source, "train", data_root=root, classes=classes, train_split=split
    )
    classes, split = train_set.classes, data.val_split
    val_set = open_dataset(data.source, "val", data_root=root, classes=classes, val_split=split)
    config = config.resolved(metric=data.metric or metric_for(val_set))
    return ResolvedRun(config, ctx, device_line, log, state, train_set, val_set, stop)


def _build_networks(run: ResolvedRun, setup: DetectorSetup) -> Networks:
    """The student with its initial values, and the trained teacher of a distilled training."""
    classes = run.train_set.classes
    run.stop.check()
    mx.random.seed(run.config.data.seed)
    networks = Networks(setup.student(classes))
    if run.config.distills:
        teacher, file = setup.teacher(classes, networks.student)
        networks = Networks(networks.student, teacher, file, digests(file, ["sha256"])[0])
    run.stop.check()
    return networks


def _build_method(run: ResolvedRun, networks: Networks) -> tuple[Method, list[str] | None]:
    """The training steps, and the parts of the student's head that were copied from the teacher's."""
    config, student, inherited = run.config, networks.student, None
    common = (run.ctx, config.schedule.sgd, config.devices.kv_store)
    if networks.teacher is None:
        method = plain(student, *common)
    else:
        # Seed again, so that the student has the same initial weights with and without a teacher.
        mx.random.seed(config.data.seed + 1)
        method = distilled(student, networks.teacher, *common, config.method)
        if config.method.student_head == "teacher" and not config.output.resume:
            inherited = inherit_head(student, networks.teacher, method.pairs)
    if config.output.resume and run.resumed_state is None:
        student.load(Path(config.output.resume), run.ctx, "--resume")
    return method, inherited


def _checkpoints(
    run: ResolvedRun, networks: Networks, method: Method, sums: FigureSums
) -> Checkpoints:
    config, train_set = run.config, run.train_set
    fixed = {**config.fixed(), "student": str(config.network("student"))}
    if networks.teacher is not None:
        fixed["teacher"] = str(config.network("teacher"))
        fixed["sha256 of the teacher"] = networks.teacher_sha256
    fixed["classes"], fixed["training images"] = train_set.classes, len(train_set)
    first, interval = config.counted_from - 1, config.output.save_interval
    saved = range(first, config.last_epoch + 1, interval)
    return Checkpoints(run.log, saved, method, sums, fixed, config.reported())


def _describe(
    run: ResolvedRun, networks: Networks, method: Method, inherited: list[str] | None, val_batches
) -> RunMetadata:
    """Print the networks and the data, measure the teacher, and return the metadata of the run."""
    student, train_set, say = networks.student, run.train_set, run.log.say
    say(run.device_line)
    data = {}
    for role, dataset in (("train", train_set), ("val", run.val_set)):
        say(f"{role}: {dataset.name}: {len(dataset)} images, {dataset.summary['objects']} objects")
        if dataset.summary_line():
            say(f"{role}: {dataset.summary_line()}")
        data[role] = {"name": dataset.name, **dataset.summary}
    present = {int(i) for n in range(len(train_set)) for i in train_set.label(n)[:, 4]}
    absent = [name for i, name in enumerate(train_set.classes) if i not in present]
    if absent:
        say(
            f"train: the images have no {', '.join(absent)}; the network cannot learn these classes"
        )
    parameters = student.parameter_count()
    say(f"student: {student.name}, {parameters:,} parameters")
    distillation = None
    if networks.teacher is not None:
        strides = [pair.stride for pair in method.pairs]
        teacher = _describe_teacher(run, networks, strides, inherited, val_batches)
        distillation = DistillationMetadata(strides, inherited, teacher)
    return RunMetadata(
        namespace=run.config.namespace,
        detector=run.config.family,
        versions=versions(),
        devices=[str(device) for device in run.ctx],
        parameters=parameters,
        classes=train_set.classes,
        data=data,
        distillation=distillation,
    )


def _describe_teacher(
    run: ResolvedRun, networks: Networks, strides: list, inherited: list[str] | None, val_batches
) -> TeacherMetadata:
    """Print the distilled levels, the student's head, and the mAP of the teacher."""
    say, file = run.log.say, networks.teacher_file
    line = f"discriminators at strides {', '.join(map(str, strides))}"
    if unpaired := sorted(set(networks.student.strides) - set(strides)):
        line += f"; none at {', '.join(map(str, unpaired))}: the teacher has no such level"
    say(line)
    if inherited:
        say(
            f"student's head: copied from the teacher at {', '.join(inherited)}; other parts are initialized"
        )
    elif inherited is not None:
        say("student's head: initialized from scratch, because the teacher's has other shapes")
    say(f"teacher: {file}")
    result = run.evaluate(networks.teacher, val_batches, lambda _images: run.stop.check())
    say(f"teacher: mAP {result.mean_ap:.4f} on {run.val_set.name}")
    return TeacherMetadata(str(file), networks.teacher_sha256, result.mean_ap)
