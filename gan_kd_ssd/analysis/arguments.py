"""The command line that repeats a run of a log, for our training scripts."""

from __future__ import annotations

import re

from gan_kd_ssd.analysis.figures import INACTIVE, last_trained, run_figures
from gan_kd_ssd.config.command import FASTER_RCNN, SSD, Command
from gan_kd_ssd.detectors.names import BACKBONE, kind_of, read_name
from gan_kd_ssd.logs.log import Log, Run
from gan_kd_ssd.logs.read import read
from gan_kd_ssd.util.errors import UserError

#: Options of GluonCV's scripts that ours have no counterpart of.
_NOT_OURS = (
    *("amp", "custom_model", "dali", "dataset_root", "horovod", "kv_store_type", "label_smooth"),
    *("lr_warmup_factor", "executor_threads", "syncbn", "use_ext"),
)
#: Options of which ours take fewer values.
_VALUES = {"kv_store": ("device", "local", "nccl"), "norm_layer": (None, "bn")}

# in network='resnet50_resnet101_v1b_g_d' and in 'faster_rcnn_resnet101_v1d_voc_best.params'
_RCNN_PAIR = re.compile(r"(resnet[0-9]+)_(resnet[0-9]+)_(v[0-9][a-z]?)(?:_|$)")
_RCNN_FILE = re.compile(r"faster_rcnn_(?:fpn_)?(resnet[0-9]+_v[0-9][a-z]?)_")
_NETWORK = BACKBONE.replace(r"\.", "[._]")  # file names have underscores for dots
_PREFIX = re.compile(rf"ssd_([0-9]+)_({_NETWORK})(?:_({_NETWORK}))?(?:_|$)")


def student_and_teacher(save_prefix: str) -> tuple[str | None, str | None]:
    """The networks in ``ssd_512_mobilenet1_0_resnet50_v1_voc_g_d_new``, spelt as in GluonCV's zoo.

    None for each that the name does not hold.
    """
    match = _PREFIX.search(save_prefix)
    if not match:
        return None, None
    student, teacher = (name and read_name(name, "ssd").backbone for name in match.groups()[1:])
    return student, teacher


def command_of(log: Log, run: Run | None = None) -> Command:
    """The command that repeats ``run`` (default: the last run with figures, else the last).

    Raises:
        UserError: the log has no Namespace line, so that its options are not known.
    """
    run = run or last_trained(log) or (log.runs[-1] if log.runs else None)
    if run is None or run.start is None:
        raise UserError(
            f"{log.source}: no Namespace line, so the options of the run are not known: "
            "name a log with one"
        )
    options = run.namespace
    two_stage = kind_of(options, run.start.record.info) == "faster_rcnn"
    command = Command(FASTER_RCNN if two_stage else SSD, dict(options))
    _leave_out(command)
    if "student" not in options:
        _faster_rcnn(command) if two_stage else _ssd(run, command)
    return command


def _leave_out(command: Command) -> None:
    """What our scripts do not take, and the state that a run went on from."""
    options = command.options
    left_out = [name for name in _NOT_OURS if options.pop(name, None)]
    left_out += [n for n, known in _VALUES.items() if n in options and options[n] not in known]
    for name in left_out:
        options.pop(name, None)
    if left_out:
        command.remarks.append(f"no counterpart here, left out: {', '.join(left_out)}")
    if str(options.get("resume", "")).endswith(".zip"):
        options.pop("resume")
        command.remarks.append("--resume: the run went on from a state; this begins it anew")
    elif options.get("resume"):
        command.remarks.append("--resume: the run began with the weights of a file")


def _faster_rcnn(command: Command) -> None:
    """Student and teacher of the published Namespaces, or of GluonCV's own script."""
    options = command.options
    if "Teacher_param_path" not in options:
        options.update({"student": options.pop("network", None), "distill": "none"})
        if options.get("dataset") == "voc":
            options["dataset"] = "voc0712"
            command.remarks.append("--dataset voc0712: GluonCV's script trains on both years")
        return
    pair = _RCNN_PAIR.match(str(options.get("network")))
    file = _RCNN_FILE.search(str(options["Teacher_param_path"]))
    teacher = file[1] if file else f"{pair[2]}_{pair[3]}" if pair else None
    if pair is None or teacher is None:
        command.remarks.append(
            f"network {options.get('network')!r} and Teacher_param_path do not name student and "
            "teacher: give --student and --teacher"
        )
    options.update({"student": f"{pair[1]}_{pair[3]}" if pair else None, "teacher": teacher})
    if pair is not None:
        command.remarks.append("--student and --teacher are from network and Teacher_param_path")
    options["roi_mode"] = "pool"
    command.remarks.append(
        "--roi-mode pool: inferred, the best mAP of the published log is Table 3's for RoIPool"
    )


def _ssd(run: Run, command: Command) -> None:
    """Student and teacher from save_prefix, or of GluonCV's own script."""
    options = command.options
    student, teacher = student_and_teacher(str(options.get("save_prefix", "")))
    if "lrD" not in options:  # GluonCV's own script: --network is the detector that is trained
        options.update({"student": options.pop("network", None) or student, "distill": "none"})
        if isinstance(options.get("epochs"), int):
            options["epochs"] -= 1
            command.remarks.append("--epochs: one less, ours is the number of the last epoch")
        return
    if student is None or teacher is None:
        command.remarks.append(
            f"save_prefix {options.get('save_prefix')!r} does not name student and teacher: "
            "give --student and --teacher"
        )
    options.update({"student": student, "teacher": teacher})
    command.remarks.append("--student and --teacher are from save_prefix, network was not used")
    _stage(run, command)


def _stage(run: Run, command: Command) -> None:
    """What the published Namespace does not say and the log shows."""
    figures = run_figures(run)
    adversarial = [f for f in figures if f.name == "Loss_D"]
    active = [f.epoch for f in adversarial if f.state != INACTIVE]
    if active and any(f.state == INACTIVE for f in adversarial):
        command.options["gan_epochs"] = max(active)
        command.remarks.append(f"--gan-epochs {max(active)}: the last with adversarial figures")
    within = [f for f in figures if f.name == "mAP" and f.phase == "gan"]
    if active and all(f.epoch == max(active) for f in within):
        command.options["gan_val_interval"] = 0
        command.remarks.append("--gan-val-interval 0: the GAN stage has no validation inside")
    if any(f.name == "cosine" for f in figures):
        command.options["cosine_attention"] = 1.0
        command.remarks.append("--cosine-attention 1.0: the figure is logged, its weight is not")


def command_like(path: str, script: str | None = None) -> Command:
    """The command that repeats the last run of a log; its words go before those of a command line.

    Args:
        script: the script that asks, if it matters.

    Raises:
        UserError: no such log, no Namespace line in it, or it is of the other script.
    """
    command = command_of(read(path))
    if script is not None and script != command.script:
        raise UserError(f"--like {path}: this is a log of {command.script}: start that script")
    return command
