"""The training log in the dialects of the two published logs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gan_kd_ssd.engine.figure_sums import FigureSums
from gan_kd_ssd.engine.hooks import Hook
from gan_kd_ssd.engine.runlog import RunLog
from gan_kd_ssd.logs.records import BestMap, EpochEnd, NewBest, Saved, Start, Step, Validation


class TrainingLog(Hook):
    """Writes the lines of both dialects: start, steps, epochs and validations."""

    style = ""

    def __init__(self, log: RunLog, sums: FigureSums):
        self._log, self._sums = log, sums

    def before_training(self, training) -> None:
        self._log.write(Start(training.progress.epoch))
        if training.progress.epoch > training.phases[-1].last:
            self._log.say("nothing left to train: give a later --epochs to continue")

    def after_figures(self, training, figures, speed) -> None:
        progress = training.progress
        where = self._where(training)
        self._log.write(Step(progress.epoch, progress.batch - 1, speed, figures, **where))

    def _where(self, training) -> dict:
        images, phase = training.progress.images, training.phase.name
        return {"images": images, "phase": phase, "style": self.style}

    def after_epoch(self, training) -> None:
        progress = training.progress
        if progress.epoch_logged:  # a signal stopped the validation of this epoch
            return
        more = {**self.timing(training), **self._where(training)}
        self._log.write(EpochEnd(progress.epoch, self._sums.of_epoch(progress), **more))
        progress.epoch_logged = True

    def timing(self, training) -> dict[str, float]:
        """Speed or duration of an epoch, as the dialect prints it."""
        raise NotImplementedError

    def after_validation(self, training, evaluation) -> None:
        epoch, phase = training.progress.epoch, training.phase.name
        record = Validation(epoch, evaluation.ap, evaluation.mean_ap, phase=phase, style=self.style)
        if evaluation.coco:
            record = replace(record, coco=True, summary=evaluation.coco.log_lines)
        self._log.write(record)

    def after_training(self, training) -> None:
        best = training.progress.best_map
        if best >= 0:
            self._log.say(f"best mAP {best:.4f}: {self._log.prefix}_best.params")


class SSDLog(TrainingLog):
    """The published SSD log: speed of each epoch, best mAP from the second validation on."""

    style = "ssd_gkd"

    def timing(self, training) -> dict[str, float]:
        progress = training.progress
        return {"speed": progress.batch * training.batch_size / max(progress.seconds, 1e-9)}

    def after_validation(self, training, evaluation) -> None:
        super().after_validation(training, evaluation)
        best = training.progress.best_map
        if best >= 0:
            self._log.write(BestMap(max(best, evaluation.mean_ap)))


class FasterRCNNLog(TrainingLog):
    """The published Faster R-CNN log: duration of each epoch, each new best mAP, saved files."""

    style = "faster_rcnn"

    def timing(self, training) -> dict[str, float]:
        return {"seconds": training.progress.seconds}

    def after_validation(self, training, evaluation) -> None:
        super().after_validation(training, evaluation)
        best = training.progress.best_map
        previous = best if best > 0 else 0  # the published log starts from 0
        if evaluation.mean_ap > previous:
            path = f"{self._log.prefix}_best.params"
            self._log.write(NewBest(training.progress.epoch, evaluation.mean_ap, previous, path))

    def after_save(self, training, epoch: int, path: Path) -> None:
        self._log.write(Saved(epoch, str(path)))
