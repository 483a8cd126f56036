"""The learning rates of a training."""

from __future__ import annotations

from gan_kd_ssd.config.shared_options import TrainConfig
from gan_kd_ssd.engine.hooks import Hook
from gan_kd_ssd.engine.schedule import learning_rate
from gan_kd_ssd.logs.records import LearningRate


class LearningRates(Hook):
    """Sets the learning rates of the trainers and logs their changes.

    Args:
        trainers: trainers by name, with their initial rates. "student" uses the detection losses; the
            others belong to the distillation.
    """

    def __init__(self, trainers: dict, config: TrainConfig, log):
        self._trainers, self._config, self._log = trainers, config, log
        self._base = {name: trainer.learning_rate for name, trainer in trainers.items()}

    def before_epoch(self, training) -> None:
        epoch, schedule = training.progress.epoch, self._config.schedule
        for name, base in self._base.items():
            if name == "student":
                rate = learning_rate(base, schedule.lr_decay, schedule.decay_at, epoch)
            else:
                rate = learning_rate(base, 0.5, self._config.distillation.halved_at, epoch)
            trainer = self._trainers[name]
            if rate != trainer.learning_rate:
                trainer.set_learning_rate(rate)
                self._log.write(LearningRate(epoch, rate, gan=name != "student"))

    def before_step(self, training) -> None:
        """Raise the student's rate from a third over the first batches of epoch 0, as in GluonCV."""
        epoch, batch = training.progress.epoch, training.progress.batch
        warmup = self._config.schedule.lr_warmup
        if epoch or warmup < 1 or batch > warmup:
            return
        share = batch / warmup
        rate = self._base["student"] * ((1 - share) / 3 + share)
        self._trainers["student"].set_learning_rate(rate)
        if batch % self._config.output.log_interval == 0:
            self._log.write(LearningRate(epoch, rate, iteration=batch))
