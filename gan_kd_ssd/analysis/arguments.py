"""The command line of a training script that repeats a run of a log."""

from __future__ import annotations

import re

from gan_kd_ssd.analysis.logged_figures import INACTIVE, MAP, run_figures
from gan_kd_ssd.config.command import FASTER_RCNN, SSD, Command
from gan_kd_ssd.detectors.names import BACKBONE, kind_of, read_name
from gan_kd_ssd.logs.log import Log, Run
from gan_kd_ssd.logs.read import read
from gan_kd_ssd.util.errors import UserError

#: Options of GluonCV's scripts that have no counterpart here.
_NOT_OURS = (
    *("amp", "custom_model", "dali", "dataset_root", "horovod", "kv_store_type", "label_smooth"),
    *("lr_warmup_factor", "executor_threads", "syncbn", "use_ext"),
)
#: Options that take fewer values here than in GluonCV's scripts.
_VALUES = {"kv_store": ("device", "local", "nccl"), "norm_layer": (None, "bn")}

# for network='resnet50_resnet101_v1b_g_d' and for 'faster_rcnn_resnet101_v1d_voc_best.params'
_RCNN_PAIR = re.compile(r"(resnet[0-9]+)_(resnet[0-9]+)_(v[0-9][a-z]?)(?:_|$)")
_RCNN_FILE = re.compile(r"faster_rcnn_(?:fpn_)?(resnet[0-9]+_v[0-9][a-z]?)_")
_NETWORK = BACKBONE.replace(r"\.", "[._]")  # file names have underscores for dots
_PREFIX = re.compile(rf"ssd_([0-9]+)_({_NETWORK})(?:_({_NETWORK}))?(?:_|$)")


def student_and_teacher(save_prefix: str) -> tuple[str | None, str | None]:
    """Student and teacher in ``ssd_512_mobilenet1_0_resnet50_v1_voc_g_d_new``, as GluonCV spells them.

    Each is None if the name lacks it.
    """
    match = _PREFIX.search(save_prefix)
    names = match.groups()[1:] if match else (None, None)
    return tuple(name and read_name(name, "ssd").backbone for name in names)


def command_of(log: Log, run: Run | None = None) -> Command:
    """Return the command that repeats a run.

    Args:
        run: The default is the last run with figures, else the last run.

    Raises:
        UserError: The log has no Namespace line, so the options are unknown.
    """
    run = run or log.last_trained or (log.runs[-1] if log.runs else None)
    if run is None or run.start is None:
        raise UserError(
            f"{log.source}: no Namespace line, so the options of the run are unknown: "
            "name a log that has one"
        )
    two_stage = kind_of(run.namespace, run.metadata) == "faster_rcnn"
    command = Command(FASTER_RCNN if two_stage else SSD, run.namespace)
    _leave_out(command)
    if "student" not in run.namespace:
        _faster_rcnn(command) if two_stage else _ssd(run, command)
    return command


def _leave_out(command: Command) -> None:
    """Remove options that the scripts here do not have, and the state that a run resumed."""
    options, remark = command.options, command.remarks.append
    left_out = [name for name in _NOT_OURS if options.pop(name, None)]
    left_out += [n for n, known in _VALUES.items() if n in options and options[n] not in known]
    for name in left_out:
        options.pop(name, None)
    if left_out:
        remark(f"options without a counterpart were omitted: {', '.join(left_out)}")
    if str(options.get("resume", "")).endswith(".zip"):
        options.pop("resume")
        remark("--resume: omitted, so the command starts from the beginning")
    elif options.get("resume"):
        remark("--resume: the run began with the weights of this file")


def _faster_rcnn(command: Command) -> None:
    """Set student and teacher for a run of the published script or of GluonCV's."""
    options, remark = command.options, command.remarks.append
    if "Teacher_param_path" not in options:
        options.update({"student": options.pop("network", None), "distill": "none"})
        if options.get("dataset") == "voc":
            options["dataset"] = "voc0712"
            remark("--dataset voc0712: GluonCV's script trains on both years")
        return
    pair = _RCNN_PAIR.match(str(options.get("network")))
    file = _RCNN_FILE.search(str(options["Teacher_param_path"]))
    teacher = file[1] if file else f"{pair[2]}_{pair[3]}" if pair else None
    if pair is None or teacher is None:
        remark(
            f"network {options.get('network')!r} and Teacher_param_path do not name student and "
            "teacher: give --student and --teacher"
        )
    options.update({"student": f"{pair[1]}_{pair[3]}" if pair else None, "teacher": teacher})
    if pair is not None:
        remark("--student and --teacher: from network and Teacher_param_path")
    options["roi_mode"] = "pool"
    best = "the best mAP of the published log is that of RoIPool in Table 3"
    remark(f"--roi-mode pool: inferred; {best}")


def _ssd(run: Run, command: Command) -> None:
    """Set student and teacher for a run of the published script or of GluonCV's."""
    options, remark = command.options, command.remarks.append
    student, teacher = student_and_teacher(str(options.get("save_prefix", "")))
    if "lrD" not in options:  # GluonCV's script, whose --network is the student
        options.update({"student": options.pop("network", None) or student, "distill": "none"})
        if isinstance(options.get("epochs"), int):
            options["epochs"] -= 1
            remark("--epochs is one less: here it is the number of the last epoch")
        return
    if student is None or teacher is None:
        remark(
            f"save_prefix {options.get('save_prefix')!r} does not name student and teacher: "
            "give --student and --teacher"
        )
    options.update({"student": student, "teacher": teacher})
    remark("--student and --teacher: from save_prefix; network was not used")
    _stage(run, command)


def _stage(run: Run, command: Command) -> None:
    """Add options that the published Namespace lacks and the figures show."""
    figures, remark = run_figures(run), command.remarks.append
    adversarial = [f for f in figures if f.name == "Loss_D"]
    active = [f.place.epoch for f in adversarial if f.state != INACTIVE]
    if active and any(f.state == INACTIVE for f in adversarial):
        command.options["gan_epochs"] = max(active)
        remark(f"--gan-epochs {max(active)}: the last epoch with adversarial figures")
    within = [f.place for f in figures if f.kind == MAP and f.place.phase == "gan"]
    if active and all(place.epoch == max(active) for place in within):
        command.options["gan_val_interval"] = 0
        remark("--gan-val-interval 0: no validation within the GAN stage")
    if any(f.name == "cosine" for f in figures):
        command.options["cosine_attention"] = 1.0
        remark("--cosine-attention 1.0: assumed, because the log has only the loss")


def command_like(path: str, script: str | None = None) -> Command:
    """Return the command that repeats the last run of a log (``--like``), which ``script`` must have made.

    Raises:
        UserError: There is no such log, it has no Namespace line, or the other script made it.
    """
    command = command_of(read(path))
    if script is not None and script != command.script:
        raise UserError(f"--like {path}: this is a log of {command.script}; use that script")
    return command
