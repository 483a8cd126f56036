"""What ``train_ssd_gkd.py`` does: data, networks and steps put together, and trained."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gan_kd_ssd.backend import mx
from gan_kd_ssd.data.pipeline import TrainBatches, ValBatches
from gan_kd_ssd.data.sets import open_dataset
from gan_kd_ssd.detectors import networks, ssd
from gan_kd_ssd.distill import step as steps
from gan_kd_ssd.distill.head import inherit_head
from gan_kd_ssd.engine import checkpoint, devices, interrupt, runlog, schedule
from gan_kd_ssd.engine.loop import Plan, Training
from gan_kd_ssd.evaluation.voc import evaluate
from gan_kd_ssd.logs.records import RunStart
from gan_kd_ssd.options import class_names


def run(options: argparse.Namespace) -> int:
    """Train as the options of :func:`gan_kd_ssd.options.parse_train_ssd` ask; returns the exit code.

    Raises:
        UserError: options, data, weights or files that cannot be used.
    """
    with interrupt.caught() as stop:
        try:
            _run(options, stop)
        except interrupt.Interrupted as stopped:
            print(f"train_ssd_gkd.py: stopped by {stopped}", file=sys.stderr)
            return 128 + stopped.signum
    return 0


def _run(options: argparse.Namespace, stop: interrupt.Interrupt) -> None:
    ctx, device_line = devices.pick(options.gpus, options.cpu_devices)
    devices.check_batch(options.batch_size, ctx)
    devices.check_kvstore(options.kv_store, ctx)
    prefix = save_prefix(options)
    plan = _plan(options, prefix)
    log = runlog.RunLog(prefix, options.quiet)
    resumes_state = bool(options.resume) and checkpoint.is_state(Path(options.resume))
    train_set, val_set = _open_data(options)
    stop.check()
    student = _student(options, train_set.classes, ctx)
    teacher, teacher_file = _teacher(options, train_set.classes, ctx)
    stop.check()

    settings = {"learning_rate": options.lr, "momentum": options.momentum, "wd": options.wd}
    blocks = {"student": student.net}
    pairs = copied = None
    if teacher is None:
        detection = steps.DetectionStep(student, ctx, settings, options.kv_store)
        step_of, trainers = {"detection": detection}, {"student": detection.trainer}
    else:
        mx.random.seed(options.seed + 1)  # the student starts the same, with or without a GAN
        gan = steps.GanStep(
            student, teacher, ctx, settings, options.kv_store, distill_options(options)
        )
        detection, pairs = gan.detection, gan.pairs
        step_of, trainers = {"gan": gan, "detection": detection}, gan.trainers()
        blocks.update(gan.blocks())
        if options.student_head == "teacher" and not options.resume:
            copied = inherit_head(student, teacher, pairs)
    if options.resume and not resumes_state:
        student.load(Path(options.resume), ctx, "--resume")

    train_batches = TrainBatches(
        train_set,
        options.data_shape,
        student.anchors,
        options.batch_size,
        options.seed,
        options.num_workers,
        options.augmentation,
    )
    val_batches = ValBatches(val_set, options.data_shape, options.batch_size, options.num_workers)
    teacher_digest = teacher_file and runlog.sha256(teacher_file)
    training = Training(
        plan=plan,
        student=student,
        step_of=step_of,
        figures=lambda sums, batches: steps.level_figures(
            sums, len(pairs or ()), options.levels, batches
        ),
        figure_names=_figure_names(pairs),
        trainer=detection.trainer,
        blocks=blocks,
        trainers=trainers,
        train_batches=train_batches,
        validate=lambda progress: evaluate(student, val_batches, ctx, "voc07", progress),
        val_batches=len(val_batches),
        log=log,
        facts=_facts(options, train_set, teacher_digest),
        interrupt=stop,
    )
    try:
        if resumes_state:
            training.load_state(Path(options.resume))
        info = {"versions": runlog.versions(), "devices": [str(c) for c in ctx]}
        info.update(_describe(student, train_set, val_set, pairs, copied, log, device_line))
        if teacher is not None:
            log.say(f"teacher: {teacher_file}")
            result = evaluate(teacher, val_batches, ctx, progress=lambda _images: stop.check())
            log.say(f"teacher: mAP {result.mean_ap:.4f} on {val_set.name}")
            info["teacher"] = {
                "file": str(teacher_file),
                "sha256": teacher_digest,
                "mAP": result.mean_ap,
            }
        if not options.resume and Path(f"{prefix}_best.params").exists():
            log.say(f"{prefix}: an earlier run's log is continued, its parameters are replaced")
        log.write(RunStart(vars(options), info))
        try:
            training.run()
        except interrupt.Interrupted as stopped:
            where = f"epoch {training.progress.epoch}, batch {training.progress.batch}"
            stopped.args = (f"{stopped} at {where}; go on with --resume {plan.state_path}",)
            raise
    finally:
        train_batches.close()
        val_batches.close()


def save_prefix(options: argparse.Namespace) -> str:
    """Prefix of a run's files: ``--save-prefix``, with a name of ours where it names none."""
    prefix = options.save_prefix
    if prefix and not prefix.endswith("/"):
        return prefix
    dataset = Path(options.dataset).name.lower()
    names = [networks.base_name(options.student)]
    if options.distill == "gan":
        names.append(networks.base_name(options.teacher))
    return f"{prefix}ssd_{options.data_shape}_{'_'.join(names)}_{dataset}" + (
        "_gkd" if options.distill == "gan" else ""
    )


def _open_data(options):
    common = {"data_root": options.data_root}
    train_set = open_dataset(
        options.dataset,
        "train",
        classes=class_names(options.classes),
        train_split=options.train_split,
        **common,
    )
    val_set = open_dataset(
        options.dataset,
        "val",
        classes=train_set.classes,
        val_split=options.val_split,
        **common,
    )
    return train_set, val_set


def _student(options, classes, ctx):
    mx.random.seed(options.seed)
    name = networks.check_name(options.student, "--student")
    thin = networks.THIN.fullmatch(name)
    pretrained = options.pretrained_base and not options.resume and not thin
    student = ssd.build(
        name, classes, options.data_shape, pretrained_base=pretrained, option="--student"
    )
    student.initialize(ctx)
    student.hybridize()
    return student


def _teacher(options, classes, ctx):
    """The trained teacher and its file; (None, None) without distillation."""
    if options.distill == "none":
        return None, None
    networks.check_name(options.teacher, "--teacher")
    option, file = "--teacher-params", Path(options.teacher_params)
    runlog.check_classes(file, classes, option)
    if not options.teacher_params:
        file = ssd.published_weights(options.teacher, options.data_shape, options.dataset, option)
    teacher = ssd.load(
        options.teacher, classes, options.data_shape, file, ctx, option, network_option="--teacher"
    )
    return teacher, file


def distill_options(options) -> steps.DistillOptions:
    return steps.DistillOptions(
        update=options.update,
        levels=options.levels,
        adversarial_weight=options.adversarial_weight,
        cosine_weight=options.cosine_attention,
        clamp=options.clamp,
        clamp_lower=options.clamp_lower,
        clamp_upper=options.clamp_upper,
        normalisation=options.d_norm,
        channels=options.d_channels,
        adapter=options.adapter,
        lr_d=options.lrD,
        lr_g=options.lrG,
        beta1=options.beta1,
    )


def _plan(options, prefix: str) -> Plan:
    gan_val = options.gan_val_interval
    return Plan(
        phases=schedule.phases(
            options.start_epoch,
            options.epochs,
            options.gan_epochs,
            options.distill,
            options.val_interval,
            options.val_interval if gan_val is None else gan_val,
        ),
        batch_size=options.batch_size,
        lr=options.lr,
        lr_decay=options.lr_decay,
        lr_decay_at=schedule.decay_epochs(options.lr_decay_epoch),
        log_interval=options.log_interval,
        save_interval=options.save_interval,
        prefix=prefix,
        seed=options.seed,
    )


def _figure_names(pairs) -> list[str]:
    """Names of the entries of a step's vector, for messages."""
    names = list(steps.DETECTION_FIGURES)
    for figure in steps.LEVEL_FIGURES:
        names += [f"{figure} of level {p.student} (stride {p.stride})" for p in pairs or ()]
    return names


#: Options that a resumed run must share with the one that wrote its state. Learning rates may change
#: (to go on after a divergence), and what has no effect on the figures.
_FIXED = (
    *("data_shape", "seed", "batch_size", "start_epoch", "augmentation", "distill"),
    *("update", "levels", "adversarial_weight", "cosine_attention", "adapter"),
    *("clamp", "clamp_lower", "clamp_upper", "d_norm", "d_channels"),
)
_FREE = (
    *("lr", "momentum", "wd", "lr_decay", "lr_decay_epoch", "lrD", "lrG", "beta1"),
    *("gan_epochs", "gpus", "cpu_devices", "kv_store"),
)


def _facts(options, train_set, teacher_digest) -> dict:
    """What a state keeps of its run, for :meth:`Training.load_state`."""
    fixed = {name: getattr(options, name) for name in _FIXED}
    fixed["student"] = networks.base_name(options.student)
    if teacher_digest:
        fixed["teacher"] = networks.base_name(options.teacher)
        fixed["sha256 of the teacher"] = teacher_digest
    fixed["classes"], fixed["training images"] = train_set.classes, len(train_set)
    return {"fixed": fixed, "options": {name: getattr(options, name) for name in _FREE}}


def _describe(student, train_set, val_set, pairs, copied, log, device_line) -> dict:
    """Say what is trained on what; the same as plain facts for the JSON line."""
    log.say(device_line)
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
            where = ", ".join(str(student.strides[level]) for level in copied)
            log.say(
                f"student's head: the teacher's at strides {where or 'none'}, its own elsewhere"
            )
            info["inherited_head"] = [student.strides[level] for level in copied]
    return info
