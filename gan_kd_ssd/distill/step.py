"""One iteration: the student's detection losses and the losses of the distillation terms.

Nothing here waits for a device: figures stay arrays until the training loop reads them.
"""

from __future__ import annotations

from collections.abc import Sequence

from gan_kd_ssd.distill.adapter import LevelPair
from gan_kd_ssd.distill.figures import Figures
from gan_kd_ssd.distill.settings import SGD
from gan_kd_ssd.distill.terms.base import PairedMaps, Term
from gan_kd_ssd.distill.trainer import make_trainer, write_gradients
from gan_kd_ssd.util.mxnet import mx

autograd = mx.autograd


def _forward(detector, part) -> tuple:
    """Levels, list of losses (B,) and list of arrays of counts of a part of a batch."""
    return tuple(detector.forward(part))


def _images(part):
    """Images (B, 3, H, W) of a part of a batch."""
    return part[0]


class DetectionStep:
    """An iteration without a teacher: forward, the detector's losses, one SGD step.

    Args:
        student: detector, initialised on ``ctx``.
        ctx: devices; a batch is split over them and gradients are summed.
        sgd: settings of the optimizer. kvstore: 'device', 'local' or 'nccl'.
        figures: packs the vectors of figures.
        extra_parameters: trained with the student's; their gradients are written by the caller.
    """

    def __init__(
        self,
        student,
        ctx: Sequence,
        sgd: SGD,
        kvstore: str,
        figures: Figures,
        extra_parameters: Sequence = (),
    ):
        self.student, self.ctx, self.figures = student, list(ctx), figures
        parameters = [*student.parameters(), *extra_parameters]
        settings = {"learning_rate": sgd.lr, "momentum": sgd.momentum, "wd": sgd.wd}
        self.trainer = make_trainer(parameters, "sgd", settings, kvstore)
        # Without distillation nobody writes the extra parameters' gradients, and they do not change.
        self.ignore_stale_grad = bool(extra_parameters)

    def __call__(self, batch) -> list:
        """Train on a batch.

        Args:
            batch: a batch as the detector's ``parts`` takes it.

        Returns:
            A vector for each device, see :class:`~gan_kd_ssd.distill.figures.Figures`; the sum over
            devices has the figures of the batch.
        """
        vectors = []
        for part in self.student.parts(batch, self.ctx):
            _levels, losses, counts = _forward(self.student, part)
            autograd.backward(losses)
            vectors.append(self.figures.pack(losses, counts))
        self.trainer.step(1, self.ignore_stale_grad)  # the losses are normalised already
        return vectors


class DistillationStep:
    """An iteration with a teacher: the terms' own networks, then the student on all losses.

    The student runs forward once; its maps serve the detection losses and all terms. The teacher runs
    in inference mode, without gradients.

    Args:
        detection: step of the same student.
        teacher: detector, initialised on the same devices.
        pairs: paired levels. terms: distillation terms, in order.
        trainer: updates the pyramid and the terms' student parameters on the distillation losses; None
            if the trainer of the detection losses does (joint update).
    """

    def __init__(
        self,
        detection: DetectionStep,
        teacher,
        pairs: Sequence[LevelPair],
        terms: Sequence[Term],
        trainer=None,
    ):
        self.detection, self.teacher, self.ctx = detection, teacher, detection.ctx
        self.pairs, self.terms, self.trainer = list(pairs), list(terms), trainer
        self.pyramid_parameters = detection.student.pyramid_parameters()
        self.term_parameters = [p for term in self.terms for p in term.student_parameters()]

    def __call__(self, batch, distil: bool = True) -> list:
        """Train on a batch.

        Args:
            batch: a batch as the detector's ``parts`` takes it.
            distil: whether the student learns from the terms. If not, it learns from its detection
                losses only, while the terms' own networks learn and the figures are measured.

        Returns:
            A vector for each device; the sum over devices has the figures of the batch.
        """
        student = self.detection.student
        parts = student.parts(batch, self.ctx)
        images = sum(len(_images(part)) for part in parts)
        teacher_levels = [self.teacher.pyramid(_images(part)) for part in parts]
        forwards = [_forward(student, part) for part in parts]
        maps = [
            self._paired(forward[0], levels, part)
            for forward, levels, part in zip(forwards, teacher_levels, parts)
        ]
        begun = [term.begin(maps, images) for term in self.terms]

        vectors, gradients = [], []
        for device, (levels, losses, counts) in enumerate(forwards):
            loss, figures = self._terms(maps[device], [of[device] for of in begun], images)
            vectors.append(self.detection.figures.pack(losses, counts, figures))
            if not distil:
                autograd.backward(losses)
                continue
            at_terms = [p.data(self.ctx[device]) for p in self.term_parameters]
            found = autograd.grad(loss, [*maps[device].student, *at_terms])
            gradients.append(self._student_backward(device, levels, losses, found))
        self.detection.trainer.step(1, not distil and self.detection.ignore_stale_grad)
        if self.trainer and distil:
            parameters = [*self.pyramid_parameters, *self.term_parameters]
            for ctx, of_device in zip(self.ctx, gradients):
                write_gradients(parameters, of_device, ctx)
            self.trainer.step(1)
        return vectors

    def _paired(self, student_levels, teacher_levels, part) -> PairedMaps:
        """The maps of one device; those of the student are leaves of a graph of their own."""
        leaves = [student_levels[pair.student].detach() for pair in self.pairs]
        for leaf in leaves:
            leaf.attach_grad()
        return PairedMaps(leaves, [teacher_levels[pair.teacher] for pair in self.pairs], part)

    def _terms(self, maps: PairedMaps, begun: list, images: int) -> tuple:
        """Loss (1,) and figures (L,) of the terms on one device, both means over the batch's images."""
        figures, losses = {}, []
        with autograd.record():
            for term, of_term in zip(self.terms, begun):
                measured = term.measure(maps, of_term)
                losses.append(term.loss(measured))
                figures.update(measured)
            total = sum(losses[1:], losses[0]) / images
        return total, {name: figure.sum(axis=0) / images for name, figure in figures.items()}

    def _student_backward(self, device: int, levels, losses, gradients) -> list | None:
        """The student's gradients on one device, from those at its levels.

        Joint update: one backward pass carries both into the gradients of the parameters. Separate
        updates: the gradients of the distillation losses are returned, those of the detection losses
        stay in the parameters. Both are gradients at the same weights, in either order of the updates.
        """
        count = len(self.pairs)
        heads = [levels[pair.student] for pair in self.pairs]
        at_levels, at_terms = gradients[:count], gradients[count:]
        ctx = self.ctx[device]
        if self.trainer is None:
            autograd.backward(losses + heads, [None] * len(losses) + at_levels)
            write_gradients(self.term_parameters, at_terms, ctx)
            return None
        weights = [p.data(ctx) for p in self.pyramid_parameters]
        of_terms = autograd.grad(heads, weights, at_levels, retain_graph=True)
        autograd.backward(losses)
        return [*of_terms, *at_terms]
