"""The training loop: epochs, phases, figures, validation, checkpoints.

It does not know what a step does: a step takes a batch and gives a vector of figures for each device,
and the detector behind it gives names to them.
"""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gan_kd_ssd.distill.figures import Figures
from gan_kd_ssd.engine import checkpoint, interrupt
from gan_kd_ssd.engine.rates import LearningRates
from gan_kd_ssd.engine.schedule import Phase
from gan_kd_ssd.logs.records import (
    BestMap,
    EpochEnd,
    NewBest,
    Saved,
    Start,
    Step,
    Validation,
)
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx

#: Steps that may be queued on the devices before the loop waits for the oldest: keeps them busy, and
#: the memory of batches that wait bounded.
STEPS_IN_FLIGHT = 2


@dataclass
class Progress:
    """Where a training stands; everything of it goes into the state."""

    epoch: int  # the epoch to go on with
    batch: int = 0  # its next batch, from 0
    images: int = 0  # seen since the start of the run
    best_map: float = -1.0  # below 0: none measured yet
    told: bool = False  # whether the log has the line of this epoch's end
    seconds: float = 0.0  # that the epoch's batches took so far
    sums: list[float] = field(default_factory=list)  # of the epoch's figures so far
    run_sums: list[float] = field(default_factory=list)  # of those before this epoch


@dataclass(frozen=True)
class Plan:
    """What the options say of the run.

    ``style`` is that of the log's lines, see :mod:`gan_kd_ssd.logs.records`; ``first_epoch`` the number
    that epochs count from. ``lr_warmup``: batches of epoch 0 over which the learning rate rises from a
    third, as in GluonCV's Faster R-CNN script. ``gan_lr``: rates of the GAN's trainers by their names,
    halved at each epoch of ``gan_lr_halved_at``.
    """

    phases: list[Phase]
    batch_size: int
    lr: float
    lr_decay: float
    lr_decay_at: list[int]
    log_interval: int
    save_interval: int
    prefix: str
    seed: int
    style: str = "ssd_gkd"
    first_epoch: int = 1
    lr_warmup: int = -1
    gan_lr: dict[str, float] = field(default_factory=dict)
    gan_lr_halved_at: list[int] = field(default_factory=list)

    @property
    def state_path(self) -> Path:
        return Path(f"{self.prefix}_state.zip")


class Training:
    """Trains a student through its phases.

    Args:
        plan: see :class:`Plan`.
        student: detector. step_of: phase name -> step, called with a batch.
        figures: :class:`~gan_kd_ssd.distill.figures.Figures`, of the steps' vectors.
        blocks, trainers: by name, what the state holds; trainer "student" is that of the detection
            losses, and those named in the plan's ``gan_lr`` are scheduled as well.
        train_batches, validate: data, and ``validate(progress) -> Evaluation``.
        val_batches: batches of one validation. log: :class:`~gan_kd_ssd.engine.runlog.RunLog`.
        facts: what the state keeps of the options: "fixed", which a resumed run must share, and
            "options", whose changes are only said. interrupt: remembers a signal to stop.
    """

    def __init__(
        self,
        plan: Plan,
        student,
        step_of: dict[str, Callable],
        figures: Figures,
        blocks: dict,
        trainers: dict,
        train_batches,
        validate: Callable,
        val_batches: int,
        log,
        facts: dict,
        interrupt: interrupt.Interrupt,
    ):
        self.plan, self.student, self.step_of = plan, student, step_of
        self.figures, self.blocks, self.trainers = figures, blocks, trainers
        self.train_batches, self.validate, self.val_batches = train_batches, validate, val_batches
        self.log, self.facts, self.interrupt = log, facts, interrupt
        self.rates = LearningRates(plan, trainers, log)
        self.progress = Progress(plan.phases[0].first)
        self.totals = None  # figures of steps not read yet, one vector a device

    # The state of a training

    def save_state(self) -> None:
        """Write everything that the rest of the run depends on.

        Random numbers are not part of it: order, augmentation and MXNet's seed come from the seed, the
        epoch and the batch alone.
        """
        arrays, counts = {}, {}
        for name, block in self.blocks.items():
            for key, value in checkpoint.block_arrays(block).items():
                arrays[f"blocks/{name}/{key}"] = value
        for name, trainer in self.trainers.items():
            states, counts[name] = checkpoint.trainer_arrays(trainer)
            for key, value in states.items():
                arrays[f"trainers/{name}/{key}"] = value
        self._check_finite(arrays)
        meta = {"progress": vars(self.progress), "trainers": counts, **self.facts}
        checkpoint.save_state(self.plan.state_path, arrays, meta)

    def load_state(self, path: Path) -> None:
        """Go on where the state at ``path`` was written.

        Raises:
            UserError: damaged, or of a run with other networks or other data.
        """
        arrays, meta = checkpoint.load_state(path)
        try:
            self._check_facts(path, meta)
            for name, block in self.blocks.items():
                checkpoint.restore_block(block, checkpoint.group(arrays, f"blocks/{name}"))
            for name, trainer in self.trainers.items():
                states = checkpoint.group(arrays, f"trainers/{name}")
                checkpoint.restore_trainer(trainer, states, meta["trainers"][name])
            self.progress = Progress(**meta["progress"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"--resume {path}: is of another network or damaged ({error})"
            ) from error

    def _check_facts(self, path: Path, meta: dict) -> None:
        for name, value in self.facts["fixed"].items():
            if meta["fixed"][name] != value:
                raise UserError(
                    f"--resume {path}: was written with {name.replace('_', '-')} "
                    f"{meta['fixed'][name]!r}, this run has {value!r}; give the same"
                )
        for name, value in self.facts["options"].items():
            if meta["options"].get(name, value) != value:
                self.log.say(f"resumed with {name} {value!r}, before {meta['options'][name]!r}")

    # Training

    def run(self) -> None:
        """Train to the end.

        Raises:
            interrupt.Interrupted: after SIGTERM or SIGINT, the state being written.
            UserError: a figure that is not finite, or a file that cannot be written.
        """
        self.log.write(Start(self.progress.epoch))
        if self.progress.epoch > self.plan.phases[-1].last:
            self.log.say("nothing left to train: give a later --epochs to go on")
        bar = tqdm(
            total=self._total(),
            unit="batch",
            disable=self.log.quiet,
            dynamic_ncols=True,
            mininterval=0.5 if sys.stderr.isatty() else 10,
            smoothing=0.05,
        )
        with bar as self.bar:
            try:
                for phase in self.plan.phases:
                    for epoch in range(max(phase.first, self.progress.epoch), phase.last + 1):
                        self._epoch(phase, epoch)
            except (interrupt.Interrupted, UserError):
                # A signal to the whole group may end the workers first: then it is no error.
                if self.interrupt.signum is None:
                    raise
                self._read_totals()
                self.save_state()
                raise interrupt.Interrupted(self.interrupt.signum) from None
        if self.progress.best_map >= 0:
            best = self.progress.best_map
            self.log.say(f"best mAP {best:.4f}: {self.plan.prefix}_best.params")

    def _total(self) -> int:
        """Batches to go, those of validation counted as well."""
        start = self.progress.epoch
        total = -self.progress.batch
        for phase in self.plan.phases:
            for epoch in range(max(phase.first, start), phase.last + 1):
                total += self.train_batches.batches(epoch)
                total += self.val_batches * phase.validates(epoch)
        return total

    def _epoch(self, phase: Phase, epoch: int) -> None:
        self.bar.set_description(f"epoch {epoch}/{self.plan.phases[-1].last} {phase.name}")
        self.rates.begin(epoch)
        self._train(phase, epoch)
        if not self.progress.told:  # it stands there where a signal stopped the validation
            self._tell_epoch(phase, epoch)
        synchronise_statistics(self.blocks["student"])
        self._check_finite(checkpoint.block_arrays(self.blocks["student"]))
        mean_ap = self._validate(phase, epoch) if phase.validates(epoch) else math.nan
        progress = self.progress
        progress.run_sums = self._run_sums().tolist()
        progress.epoch, progress.batch, progress.sums = epoch + 1, 0, []
        progress.told, progress.seconds = False, 0.0
        if (epoch + 1 - self.plan.first_epoch) % self.plan.save_interval == 0:
            path = Path(f"{self.plan.prefix}_{epoch:04d}_{mean_ap:.4f}.params")
            checkpoint.save_parameters(self.student.net, path)
            if self.plan.style == "faster_rcnn":
                self.log.write(Saved(epoch, str(path)))
            self.save_state()  # last: what was killed before it is done again
        elif epoch == self.plan.phases[-1].last:
            self.save_state()

    def _tell_epoch(self, phase: Phase, epoch: int) -> None:
        """Write the line of an epoch's end."""
        progress, seconds = self.progress, self.progress.seconds
        self._read_totals()
        figures = self.figures.of_epoch(np.array(progress.sums), progress.batch)
        timing = {"seconds": seconds}
        if self.plan.style == "ssd_gkd":
            timing = {"speed": progress.batch * self.plan.batch_size / max(seconds, 1e-9)}
        images, style = progress.images, self.plan.style
        self.log.write(
            EpochEnd(epoch, figures, **timing, images=images, phase=phase.name, style=style)
        )
        progress.told = True

    def _seed(self, epoch: int, batch: int) -> None:
        """Seed what the networks draw (sampled RoIs, dropout), so that a resumed run draws the same."""
        seeds = np.random.SeedSequence((self.plan.seed, epoch, batch), spawn_key=(2,))
        mx.random.seed(int(seeds.generate_state(1)[0] >> 1))

    def _train(self, phase: Phase, epoch: int) -> None:
        """Train on the rest of an epoch's batches."""
        progress = self.progress
        started = time.perf_counter() - progress.seconds
        try:
            self._train_batches(phase, epoch)
            mx.nd.waitall()
        finally:
            progress.seconds = time.perf_counter() - started

    def _train_batches(self, phase: Phase, epoch: int) -> None:
        step, progress, size = self.step_of[phase.name], self.progress, self.plan.batch_size
        in_flight: deque = deque()
        logged, logged_batch = time.perf_counter(), progress.batch
        for batch in self.train_batches.epoch(epoch, progress.batch):
            self.interrupt.check()
            self.rates.warm_up(epoch, progress.batch)
            self._seed(epoch, progress.batch)
            vectors = step(batch)
            self._add(vectors)
            in_flight.append((progress.batch, vectors))
            if len(in_flight) > STEPS_IN_FLIGHT:
                self._check_figures(epoch, *in_flight.popleft())
            progress.batch += 1
            progress.images += size
            self.bar.update()
            if progress.batch % self.plan.log_interval == 0:
                figures = self._read_figures()
                now = time.perf_counter()
                speed = (progress.batch - logged_batch) * size / (now - logged)
                logged, logged_batch = now, progress.batch
                self._tell_step(phase, epoch, speed, figures)
        for number, vectors in in_flight:
            self._check_figures(epoch, number, vectors)

    def _tell_step(self, phase: Phase, epoch: int, speed: float, figures: dict) -> None:
        progress, style = self.progress, self.plan.style
        self.log.write(
            Step(
                epoch, progress.batch - 1, speed, figures, progress.images, phase.name, style=style
            )
        )
        loss = sum(figures[name] for name in self.figures.losses)
        self.bar.set_postfix(loss=f"{loss:.3f}")

    def _add(self, vectors) -> None:
        """Add figures to the epoch's sums, on the devices."""
        if self.totals is None:
            self.totals = [vector.copy() for vector in vectors]
            return
        for total, vector in zip(self.totals, vectors):
            total += vector

    def _read_figures(self) -> dict:
        """Figures of a step's line, in its order; waits for the devices.

        Losses are means over the epoch so far. What is counted is counted since the run's start: in
        the published Faster R-CNN log those figures run on from epoch to epoch, as GluonCV's script
        never resets their metrics.
        """
        self._read_totals()
        means = self.figures.of_epoch(np.array(self.progress.sums), self.progress.batch)
        losses = {name: means.pop(name) for name in self.figures.losses}
        return {**losses, **self.figures.counted(self._run_sums()), **means}

    def _run_sums(self) -> np.ndarray:
        """Sum of the vectors since the run's start."""
        before, sums = np.array(self.progress.run_sums), np.array(self.progress.sums)
        return self.figures.add(before, sums)

    def _read_totals(self) -> None:
        """Move the figures that stand on the devices into ``progress.sums``; waits for them."""
        if self.totals is None:
            return
        read = np.sum([total.asnumpy().astype(np.float64) for total in self.totals], axis=0)
        before = self.progress.sums or np.zeros_like(read)
        self.progress.sums, self.totals = (read + before).tolist(), None

    def _check_figures(self, epoch: int, batch: int, vectors) -> None:
        """Stop at the first batch with a figure that is not finite, naming the loss and the level."""
        figures = np.sum([vector.asnumpy() for vector in vectors], axis=0)
        broken = [name for name, v in zip(self.figures.entries, figures) if not np.isfinite(v)]
        if broken:
            more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
            names = ", ".join(broken[:3]) + more
            raise self._diverged(f"epoch {epoch}, batch {batch}: not finite: {names}")

    def _check_finite(self, arrays: dict) -> None:
        """Nothing that is not finite is ever saved."""
        for name, value in arrays.items():
            if not np.isfinite(value).all():
                raise self._diverged(f"{name} holds a number that is not finite")

    def _diverged(self, what: str) -> UserError:
        path = self.plan.state_path
        kept = f"the last good state is {path}" if path.exists() else "no state was saved before"
        return UserError(f"{what}: the training has diverged; {kept}; lower --lr, --lrD or --lrG")

    # Validation

    def _validate(self, phase: Phase, epoch: int) -> float:
        def progress(_images: int) -> None:
            self.bar.update()
            self.interrupt.check()

        result, style = self.validate(progress), self.plan.style
        record = Validation(epoch, result.ap, result.mean_ap, phase=phase.name, style=style)
        if result.coco:
            record = replace(record, coco=True, summary=result.coco.log_lines)
        self.log.write(record)
        best_before = self.progress.best_map
        if result.mean_ap > best_before:
            path = f"{self.plan.prefix}_best.params"
            if style == "faster_rcnn" and result.mean_ap > 0:
                previous = best_before if best_before > 0 else 0  # as published
                self.log.write(NewBest(epoch, result.mean_ap, previous, path))
            checkpoint.save_parameters(self.student.net, Path(path))
            self.log.append("best_map.log", f"{epoch:04d}:\t{result.mean_ap:.4f}\n")
            self.progress.best_map = result.mean_ap
        if style == "ssd_gkd" and best_before >= 0:  # as published: from the second validation on
            self.log.write(BestMap(self.progress.best_map))
        return result.mean_ap


def synchronise_statistics(block) -> None:
    """Give BatchNorm's running statistics their mean over the devices, on each of them.

    Each device sees its part of a batch alone, so they drift apart; parameters are saved with the mean,
    so validation, the files and a resumed run agree only where the devices hold it too.
    """
    for parameter in block.collect_params().values():
        copies = parameter.list_data()
        statistics = parameter.name.endswith(("_mean", "_var"))
        if parameter.grad_req == "null" and len(copies) > 1 and statistics:
            parameter.set_data(parameter._reduce())
