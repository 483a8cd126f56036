"""Sets the learning rates that the schedule asks for, and tells the log of them."""

from __future__ import annotations

from gan_kd_ssd.engine.schedule import learning_rate
from gan_kd_ssd.logs.records import LearningRate


class LearningRates:
    """The learning rates of a run's trainers.

    Args:
        plan: :class:`~gan_kd_ssd.engine.loop.Plan`. trainers: by name; "student" is that of the
            detection losses, those of the plan's ``gan_lr`` belong to the GAN.
        log: is told of each change.
    """

    def __init__(self, plan, trainers: dict, log):
        self.plan, self.trainers, self.log = plan, trainers, log

    def begin(self, epoch: int) -> None:
        """Set the rates of an epoch."""
        plan = self.plan
        rate = learning_rate(plan.lr, plan.lr_decay, plan.lr_decay_at, epoch)
        self._set("student", rate, LearningRate(epoch, rate))
        for name, base in plan.gan_lr.items():
            rate = learning_rate(base, 0.5, plan.gan_lr_halved_at, epoch)
            self._set(name, rate, LearningRate(epoch, rate, gan=True))

    def warm_up(self, epoch: int, batch: int) -> None:
        """Raise the student's rate over the first batches of epoch 0, as GluonCV's script."""
        warmup = self.plan.lr_warmup
        if epoch or warmup < 1 or batch > warmup:
            return
        share = batch / warmup
        rate = self.plan.lr * ((1 - share) / 3 + share)
        self.trainers["student"].set_learning_rate(rate)
        if batch % self.plan.log_interval == 0:
            self.log.write(LearningRate(epoch, rate, iteration=batch))

    def _set(self, name: str, rate: float, record: LearningRate) -> None:
        trainer = self.trainers[name]
        if rate != trainer.learning_rate:
            trainer.set_learning_rate(rate)
            self.log.write(record)
