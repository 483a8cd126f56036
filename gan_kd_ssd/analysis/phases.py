"""The phase of each epoch.

There are three phases: in ``gan``, student and discriminators are trained against each other; in
``discriminator``, the student receives only its detection losses while the discriminators are trained;
in ``detection``, only the student is trained.
"""

from __future__ import annotations

import math

from gan_kd_ssd.logs.log import Segment
from gan_kd_ssd.logs.records import GAN_FIGURES, EpochEnd, Step

#: Cost of each phase relative to ``detection``, in the published logs (arXiv 1906.08467): samples per
#: second for SSD (57.2 / 35.0), seconds per epoch for Faster R-CNN (640 and 834 over 463).
PUBLISHED_COST = {
    "ssd": {"gan": 1.64},
    "faster_rcnn": {"discriminator": 1.38, "gan": 1.80},
}


def scheduled(namespace: dict, epoch: int) -> str | None:
    """The phase that the options of a run schedule for an epoch; None if they do not define it.

    For Faster R-CNN, the first ``train_D_eopch`` epochs are in ``discriminator`` (inferred from their
    cost) and the others up to ``GAN_epochs``, inclusive, in ``gan`` (published log). ``gan_epochs`` of
    train_ssd_gkd.py is the last epoch in ``gan``, too.
    """
    if namespace.get("distill") == "none":
        return "detection"
    if isinstance(namespace.get("GAN_epochs"), int):
        if epoch < (namespace.get("train_D_eopch") or 0):
            return "discriminator"
        return "gan" if epoch <= namespace["GAN_epochs"] else "detection"
    gan_epochs = namespace.get("gan_epochs")
    if isinstance(gan_epochs, int):
        return "gan" if epoch <= gan_epochs else "detection"
    return None


def epoch_phases(segment: Segment, namespace: dict) -> dict[int, str]:
    """Find the phase of each epoch that has step or epoch lines.

    The records decide, then the options, then the figures. If all adversarial figures are nan, they are
    empty metrics, as in the published logs, and the phase is ``detection``. There is one exception: if
    the detection losses of an epoch after a GAN epoch are not finite either, the run diverged in the
    GAN phase.
    """
    phases: dict[int, str] = {}
    by_epoch: dict[int, list] = {}
    for entry in segment.of(Step, EpochEnd):
        by_epoch.setdefault(entry.record.epoch, []).append(entry.record)
    before = None
    for epoch, records in by_epoch.items():
        phases[epoch] = before = _phase(records, namespace, epoch, before)
    return phases


def _phase(records, namespace: dict, epoch: int, before: str | None) -> str:
    recorded = next((record.phase for record in records if record.phase), None)
    if recorded:
        return recorded
    pairs = [pair for record in records for pair in record.figures.items()]
    adversarial = [v for name, v in pairs if name in GAN_FIGURES]
    if not adversarial:
        return "detection"
    planned = scheduled(namespace, epoch)
    if planned:
        return planned
    if not all(v is None or math.isnan(v) for v in adversarial):
        return "gan"
    lost = any(v is None or not math.isfinite(v) for n, v in pairs if n not in GAN_FIGURES)
    return "gan" if lost and before == "gan" else "detection"
