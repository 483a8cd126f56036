"""A training from its configuration to its end: what both kinds of detector share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from gan_kd_ssd.config.training_config import DataConfig, TrainConfig
from gan_kd_ssd.data.formats.catalog import open_dataset
from gan_kd_ssd.data.formats.dataset import Dataset
from gan_kd_ssd.distill.head import inherit_head
from gan_kd_ssd.distill.method import Method, distilled, plain
from gan_kd_ssd.engine import checkpoint, devices, interrupt, runlog, schedule
from gan_kd_ssd.engine.checkpoint import Checkpoints, RunFacts
from gan_kd_ssd.engine.divergence import FiniteFigures, FiniteWeights
from gan_kd_ssd.engine.faster_rcnn_training import FasterRCNNSetup
from gan_kd_ssd.engine.figure_sums import FigureSums
from gan_kd_ssd.engine.hooks import Hook, ProgressBar, SeedBatches, SharedStatistics
from gan_kd_ssd.engine.log_hooks import TrainingLog
from gan_kd_ssd.engine.loop import Training
from gan_kd_ssd.engine.progress import Progress
from gan_kd_ssd.engine.provenance import versions
from gan_kd_ssd.engine.rates import LearningRates
from gan_kd_ssd.engine.setup import DetectorSetup
from gan_kd_ssd.engine.ssd_training import SSDSetup
from gan_kd_ssd.evaluation.metrics import Evaluation, evaluate, metric_for
from gan_kd_ssd.logs.records import RunStart
from gan_kd_ssd.logs.run_metadata import DistillationMetadata, RunMetadata, TeacherMetadata
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import digests
from gan_kd_ssd.util.mxnet import mx

SETUPS = {"ssd": SSDSetup, "faster_rcnn": FasterRCNNSetup}


def run(config: TrainConfig, script: str, hooks: Sequence[Hook] = ()) -> int:
    """Train as the configuration says; returns the exit code.

    Args:
        script: name of the program, for the message after a signal.
        hooks: more hooks; they are called before all others.

    Raises:
        UserError: devices, data, weights or files that cannot be used.
    """
    with interrupt.caught() as stop:
        try:
            _train(config, hooks, stop)
        except interrupt.Interrupted as stopped:
            print(f"{script}: stopped by {stopped}", file=sys.stderr)
            return 128 + stopped.signum
    return 0


@dataclass(frozen=True)
class Surroundings:
    """The surroundings of a training.

    Attributes:
        config: configuration, with the batch size and the metric resolved.
        ctx: MXNet contexts. device_line: a line that names them.
        log: log files. resumed_state: state to continue from, or None.
        train_set, val_set: data. stop: handler of signals.
    """

    config: TrainConfig
    ctx: list
    device_line: str
    log: runlog.RunLog
    resumed_state: Path | None
    train_set: Dataset
    val_set: Dataset
    stop: interrupt.Interrupt

    @property
    def best(self) -> Path:
        """The file of the best parameters."""
        return Path(f"{self.log.prefix}_best.params")

    def evaluate(self, detector, batches, after_batch: Callable[[int], None]) -> Evaluation:
        """Measure a detector on the validation data."""
        metric = self.config.data.metric
        return evaluate(detector, batches, self.ctx, metric, after_batch, self.val_set)


@dataclass(frozen=True)
class NetworkPair:
    """Student and teacher; the teacher, its file and its sha256 are None in a plain training."""

    student: object
    teacher: object = None
    teacher_file: Path | None = None
    teacher_sha256: str | None = None


@dataclass(frozen=True)
class TrainingParts:
    """What a training is made of: networks, method, batches, and the copied parts of the head."""

    networks: NetworkPair
    method: Method
    inherited_head: list[str] | None
    train_batches: object
    val_batches: object


def _train(config: TrainConfig, hooks: Sequence[Hook], stop: interrupt.Interrupt) -> None:
    run = _resolve(config, stop)
    setup = SETUPS[config.family](run.config, run.ctx)
    networks = _build_networks(run, setup)
    method, inherited = _build_method(run, networks)
    student = networks.student
    run = replace(run, config=run.config.resolved(**student.sizes))
    size, workers = run.config.data.batches.size, run.config.data.batches.num_workers
    with ExitStack() as stack:
        batches = (
            stack.enter_context(closing(setup.train_batches(student, run.train_set))),
            stack.enter_context(
                closing(student.val_batches(run.val_set, size, len(run.ctx), workers))
            ),
        )
        parts = TrainingParts(networks, method, inherited, *batches)
        training, checkpoints = _build_training(run, parts, setup.log_hook, hooks)
        metadata = _describe(run, parts)
        if run.best.exists() and run.resumed_state is None:
            run.log.say(
                f"{run.log.prefix}: appending to the log of an earlier run and replacing its parameters"
            )
        run.log.write(RunStart(metadata.namespace, metadata.info()))
        try:
            with stop.keeping(lambda: checkpoints.save_state(training.progress)):
                training.run()
        except interrupt.Interrupted as stopped:
            where = f"epoch {training.progress.epoch}, batch {training.progress.batch}"
            state = checkpoint.state_path(run.log.prefix)
            stopped.args = (
                f"{stopped} at {where}; continue with the same command and --resume {state}",
            )
            raise


def _resolve(config: TrainConfig, stop: interrupt.Interrupt) -> Surroundings:
    """Find devices, files and data, and the defaults that depend on them.

    Raises:
        UserError: one of them cannot be used, or an earlier run would be overwritten.
    """
    ctx, device_line = devices.pick(config.devices.gpus, config.devices.cpu_devices)
    if config.data.batches.size is None:
        config = config.resolved(batch_size=len(ctx))
    devices.check_batch(config.data.batches.size, ctx)
    devices.check_kvstore(config.devices.kv_store, ctx)
    log = runlog.RunLog(config.prefix, config.output.quiet)
    resume = config.output.resume
    state = Path(resume) if resume and checkpoint.is_state(Path(resume)) else None
    best = Path(f"{log.prefix}_best.params")
    if best.exists() and not (state or config.output.overwrite):
        raise UserError(
            f"--save-prefix {log.prefix}: there is a run already ({best}); continue it with --resume "
            f"{checkpoint.state_path(log.prefix)}, choose another prefix, or give --overwrite"
        )
    train_set, val_set = _open_data(config.data)
    config = config.resolved(metric=config.data.metric or metric_for(val_set))
    return Surroundings(config, ctx, device_line, log, state, train_set, val_set, stop)


def _open_data(data: DataConfig) -> tuple[Dataset, Dataset]:
    """The training and the validation split, with the same classes."""
    train_set = open_dataset(
        data.source,
        "train",
        data_root=data.root,
        classes=data.classes and list(data.classes),
        train_split=data.train_split,
    )
    val_set = open_dataset(
        data.source,
        "val",
        data_root=data.root,
        classes=train_set.classes,
        val_split=data.val_split,
    )
    return train_set, val_set


def _build_networks(run: Surroundings, setup: DetectorSetup) -> NetworkPair:
    """The student with its initial values, and the trained teacher of a distilled training."""
    classes = run.train_set.classes
    run.stop.check()
    mx.random.seed(run.config.data.batches.seed)
    student = setup.student(classes)
    if not run.config.distills:
        run.stop.check()
        return NetworkPair(student)
    teacher, file = setup.teacher(classes, student)
    run.stop.check()
    return NetworkPair(student, teacher, file, digests(file, ["sha256"])[0])


def _build_method(run: Surroundings, networks: NetworkPair) -> tuple[Method, list[str] | None]:
    """The training steps, and the parts of the student's head that were copied from the teacher's."""
    config, student, inherited = run.config, networks.student, None
    common = (run.ctx, config.sgd, config.devices.kv_store)
    if networks.teacher is None:
        method = plain(student, *common)
    else:
        # Seeded again, so that the student starts the same with a teacher and without.
        mx.random.seed(config.data.batches.seed + 1)
        method = distilled(student, networks.teacher, *common, config.distillation)
        if config.distillation.student_head == "teacher" and not config.output.resume:
            inherited = inherit_head(student, networks.teacher, method.pairs)
    if config.output.resume and run.resumed_state is None:
        student.load(Path(config.output.resume), run.ctx, "--resume")
    return method, inherited


def _build_training(
    run: Surroundings, parts: TrainingParts, log_hook: type[TrainingLog], hooks: Sequence[Hook]
) -> tuple[Training, Checkpoints]:
    """The training loop with its hooks, at its start or where its state was saved."""
    config, method, student = run.config, parts.method, parts.networks.student
    prefix, output, epochs = run.log.prefix, config.output, config.schedule
    state_path = checkpoint.state_path(prefix)
    sums = FigureSums(method.figures, student.loss_names, output.log_interval)
    saved = range(epochs.counted_from - 1, epochs.last_epoch + 1, output.save_interval)
    facts = _facts(run, parts.networks)
    checkpoints = Checkpoints(prefix, saved, method.blocks, method.trainers, facts, sums, run.log)
    progress = Progress(epochs.start_epoch)
    if run.resumed_state:
        progress = checkpoints.restore(run.resumed_state)
    all_hooks = [
        *hooks,
        run.stop,
        LearningRates(method.trainers, epochs.rates, run.log, output.log_interval),
        SeedBatches(config.data.batches.seed),
        FiniteFigures(method.figures.entries, state_path),
        sums,
        log_hook(run.log, sums, prefix),
        ProgressBar(student.loss_names, len(parts.val_batches), output.quiet),
        SharedStatistics(student.net),
        FiniteWeights(student.net, state_path),
        checkpoints,
    ]
    training = Training(
        schedule.phases(epochs, config.distills),
        method.steps,
        parts.train_batches,
        config.data.batches.size,
        lambda after_batch: run.evaluate(student, parts.val_batches, after_batch),
        all_hooks,
        progress,
    )
    return training, checkpoints


def _facts(run: Surroundings, networks: NetworkPair) -> RunFacts:
    """What the state keeps about the options, the networks and the data."""
    config, train_set = run.config, run.train_set
    fixed = {**config.fixed(), "student": str(config.network("student"))}
    if networks.teacher is not None:
        fixed["teacher"] = str(config.network("teacher"))
        fixed["sha256 of the teacher"] = networks.teacher_sha256
    fixed["classes"], fixed["training images"] = train_set.classes, len(train_set)
    return RunFacts(fixed, config.reported())


def _describe(run: Surroundings, parts: TrainingParts) -> RunMetadata:
    """Print what is trained on what, measure the teacher, and return the metadata of the run."""
    student, say = parts.networks.student, run.log.say
    say(run.device_line)
    data = {}
    for role, dataset in (("train", run.train_set), ("val", run.val_set)):
        say(f"{role}: {dataset.name}: {len(dataset)} images, {dataset.summary['objects']} objects")
        if dataset.summary_line():
            say(f"{role}: {dataset.summary_line()}")
        data[role] = {"name": dataset.name, **dataset.summary}
    present = {int(i) for n in range(len(run.train_set)) for i in run.train_set.label(n)[:, 4]}
    absent = [name for i, name in enumerate(run.train_set.classes) if i not in present]
    if absent:
        say(f"train: no object of {', '.join(absent)}: nothing can be learned about them")
    parameters = student.parameter_count()
    say(f"student: {student.name}, {parameters:,} parameters")
    return RunMetadata(
        namespace=run.config.namespace,
        detector=run.config.family,
        versions=versions(),
        devices=[str(device) for device in run.ctx],
        parameters=parameters,
        classes=run.train_set.classes,
        data=data,
        distillation=None if parts.networks.teacher is None else _describe_teacher(run, parts),
    )


def _describe_teacher(run: Surroundings, parts: TrainingParts) -> DistillationMetadata:
    """Print the distilled levels, the student's head, and the mAP of the teacher."""
    networks, say = parts.networks, run.log.say
    strides = [pair.stride for pair in parts.method.pairs]
    unpaired = sorted(set(networks.student.strides) - set(strides))
    line = f"discriminators at strides {', '.join(map(str, strides))}"
    if unpaired:
        line += f"; none at {', '.join(map(str, unpaired))}: the teacher has no such level"
    say(line)
    if parts.inherited_head is not None:
        copied = ", ".join(parts.inherited_head)
        say(
            f"student's head: copied from the teacher at {copied}, initialized elsewhere"
            if copied
            else "student's head: initialized, because the shapes of the teacher's differ"
        )
    say(f"teacher: {networks.teacher_file}")
    result = run.evaluate(networks.teacher, parts.val_batches, lambda _images: run.stop.check())
    say(f"teacher: mAP {result.mean_ap:.4f} on {run.val_set.name}")
    teacher = TeacherMetadata(str(networks.teacher_file), networks.teacher_sha256, result.mean_ap)
    return DistillationMetadata(strides, parts.inherited_head, teacher)
