"""Which phase an epoch belongs to: gan, discriminator (D alone is trained) or detection."""

from __future__ import annotations

import math

from gan_kd_ssd.logs.log import Segment
from gan_kd_ssd.logs.records import GAN_FIGURES, EpochEnd, Step

#: Costs of a phase against detection alone, published: arXiv 1906.08467's logs, samples/s for the
#: SSD (35.0 against 57.2), seconds an epoch for Faster R-CNN (640, 834 and 463).
PUBLISHED_COST = {
    "ssd": {"gan": 1.64},
    "faster_rcnn": {"discriminator": 1.38, "gan": 1.80},
}


def scheduled(namespace: dict, epoch: int) -> str | None:
    """The phase that the options ask for, None where they do not tell.

    Faster R-CNN: D alone for the first ``train_D_eopch`` epochs (inferred from the cost of an
    epoch), then both up to epoch ``GAN_epochs`` itself (published log). Our ``gan_epochs`` is the
    last epoch of the GAN stage as well.
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
    """Phase of each epoch that has a step or an epoch line.

    By what the record says, else by the options, else by the figures: a nan of every adversarial
    figure is an empty metric, as in the published logs, unless the detection losses of an epoch
    that follows a GAN epoch are lost as well: then the run diverged in the GAN phase.
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
    said = next((record.phase for record in records if record.phase), None)
    if said:
        return said
    pairs = [(name, value) for record in records for name, value in record.figures.items()]
    adversarial = [v for name, v in pairs if name in GAN_FIGURES]
    if not adversarial:
        return "detection"
    asked = scheduled(namespace, epoch)
    if asked:
        return asked
    if not all(v is None or math.isnan(v) for v in adversarial):
        return "gan"
    lost = any(v is None or not math.isfinite(v) for n, v in pairs if n not in GAN_FIGURES)
    return "gan" if lost and before == "gan" else "detection"
