"""Small runs whose figures are known, for the tests of logs."""

from gan_kd_ssd.analysis.analysed_run import analyse
from gan_kd_ssd.analysis.logged_figures import ACTIVE, LOSS, Figure, Place
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.logs.records import EpochEnd, RunStart, Step, Validation
from gan_kd_ssd.logs.write import format_record

OPTIONS = {"batch_size": 1, "log_interval": 1, "dataset": "d", "student": "s", "lrD": 0.1}
GAN = {"Loss_D": -0.5, "Loss_G": 1.0, "Loss_D_real": 0.5, "Loss_D_fake": 1.0}


def run(
    losses=(4.0,) * 8, maps=None, gan=99, figures=None, style="ssd_gkd", namespace=True, **options
):
    """10 images an epoch from epoch 1.

    Args:
        losses: CrossEntropy by epoch. maps: mAP by epoch, or its two classes' APs.
        gan: last epoch of the GAN stage. figures: of every line, instead of the usual ones.
        namespace: whether the log tells its options: :data:`OPTIONS` and ``options``, but for
            those that are "left out".
    """
    maps = {e: 0.5 for e in range(1, len(losses) + 1)} if maps is None else maps
    told = {name: v for name, v in {**OPTIONS, **options}.items() if v != "left out"}
    text = format_record(RunStart(told)) if namespace else ""
    for epoch, loss in enumerate(losses, start=1):
        on = GAN if epoch <= gan else {}
        of = figures or {**on, "CrossEntropy": loss, "SmoothL1": 1.0}
        text += format_record(Step(epoch, 9, 9.0, of, style=style))
        time = {"speed": 9.0} if style == "ssd_gkd" else {"seconds": 9.0}
        text += format_record(EpochEnd(epoch, of, **time, style=style))
        if epoch in maps:
            aps = maps[epoch] if isinstance(maps[epoch], tuple) else (maps[epoch],) * 2
            classes = dict(zip("ab", aps))
            text += format_record(Validation(epoch, classes, sum(aps) / 2, style=style))
    return analyse(parse(text, "x.log"))


def point(images, value, epoch=1, line=1):
    """A figure of a curve."""
    place = Place(EpochEnd, "detection", epoch, images, segment=1, line=line, whole=True)
    return Figure(LOSS, "CrossEntropy", value, ACTIVE, place)


def entries_text(run):
    """The text log of an analysed run with one segment."""
    return run.run.start.text() + "".join(entry.text() for entry in run.run.segments[0].entries)
