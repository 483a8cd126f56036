"""One iteration: the student's detection losses and the losses of the distillation terms.

Nothing here waits for a device: figures stay arrays until the training loop reads them.
"""

from __future__ import annotations

from collections.abc import Sequence

from gan_kd_ssd.distill.adapter import LevelPair
from gan_kd_ssd.distill.step_figures import Figures
from gan_kd_ssd.distill.terms.term import PairedMaps, Term
from gan_kd_ssd.util.mxnet import mx

autograd = mx.autograd


class DetectionStep:
    """A training step without a teacher: forward pass, detection losses and one update.

    Args:
        student: detector, initialised on ``ctx``.
        ctx: devices; a batch is split over them and gradients are summed.
        trainer: updates the student.
        figures: packs the vectors of figures.
        ignore_stale_grad: whether some parameters of the trainer get no gradients, and do not change.
    """

    def __init__(
        self, student, ctx: Sequence, trainer, figures: Figures, ignore_stale_grad: bool = False
    ):
        self.student, self.ctx, self.trainer, self.figures = student, list(ctx), trainer, figures
        self.ignore_stale_grad = ignore_stale_grad

    def __call__(self, batch) -> list:
        """Train on a batch; returns a vector of figures for each device, to be added up."""
        vectors = []
        for part in self.student.parts(batch, self.ctx):
            forward = self.student.forward(part)
            autograd.backward(list(forward.losses.values()))
            vectors.append(self.figures.pack(forward.losses, forward.counts))
        self.trainer.step(1, self.ignore_stale_grad)  # the losses are normalised already
        return vectors


class DistillationStep:
    """A training step with a teacher: update the terms' own networks, then the student on all losses.

    The student runs forward once; its maps serve the detection losses and all terms. The teacher runs
    in inference mode, without gradients.

    Args:
        detection: step of the same student.
        teacher: detector, initialised on the same devices.
        pairs: paired levels.
        terms: distillation terms, in order.
        trainer: updates the pyramid and the terms' student parameters on the distillation losses; None
            for a joint update by the trainer of the detection losses.
    """

    def __init__(
        self, detection, teacher, pairs: Sequence[LevelPair], terms: Sequence[Term], trainer=None
    ):
        self.detection, self.teacher, self.ctx = detection, teacher, detection.ctx
        self.pairs, self.terms, self.trainer = pairs, terms, trainer
        self.pyramid_parameters = detection.student.pyramid_parameters()
        self.term_parameters = [p for term in terms for p in term.student_parameters]

    def __call__(self, batch, distil: bool = True) -> list:
        """Train on a batch; without ``distil`` the student learns from its detection losses only."""
        student = self.detection.student
        parts = student.parts(batch, self.ctx)
        images = sum(len(part.images) for part in parts)
        teacher_levels = [self.teacher.pyramid(part.images) for part in parts]
        forwards = [student.forward(part) for part in parts]
        maps = [self._paired(*each) for each in zip(forwards, teacher_levels, parts)]
        begun = zip(*[term.begin(maps, images) for term in self.terms])

        vectors, gradients = [], []
        for ctx, forward, on_device, prepared in zip(self.ctx, forwards, maps, begun):
            loss, figures = self._terms(on_device, prepared, images)
            vectors.append(self.detection.figures.pack(forward.losses, forward.counts, figures))
            if distil:
                leaves = [*on_device.student, *[p.data(ctx) for p in self.term_parameters]]
                found = autograd.grad(loss, leaves)
                gradients.append(self._student_backward(ctx, forward, found))
            else:
                autograd.backward(list(forward.losses.values()))
        self.detection.trainer.step(1, not distil and self.detection.ignore_stale_grad)
        if self.trainer and distil:
            parameters = [*self.pyramid_parameters, *self.term_parameters]
            for ctx, of_device in zip(self.ctx, gradients):
                _write_gradients(parameters, of_device, ctx)
            self.trainer.step(1)
        return vectors

    def _paired(self, forward, teacher_levels, part) -> PairedMaps:
        leaves = [forward.levels[pair.student].detach() for pair in self.pairs]
        for leaf in leaves:
            leaf.attach_grad()
        return PairedMaps(leaves, [teacher_levels[pair.teacher] for pair in self.pairs], part)

    def _terms(self, maps: PairedMaps, begun: Sequence, images: int) -> tuple:
        """Loss (1,) and figures (L,) of the terms on one device, both means over the batch's images."""
        figures, losses = {}, []
        with autograd.record():
            for term, of_term in zip(self.terms, begun):
                measured = term.measure(maps, of_term)
                losses.append(term.loss(measured))
                figures.update(measured)
            total = sum(losses[1:], losses[0]) / images
        return total, {name: figure.sum(axis=0) / images for name, figure in figures.items()}

    def _student_backward(self, ctx, forward, gradients) -> list | None:
        """The student's gradients on one device, from those of the terms at its levels.

        Joint update: one backward pass carries both into the parameters. Separate updates: the
        gradients of the distillation losses are returned, and those of the detection losses stay in the
        parameters; both are taken at the same weights.
        """
        count = len(self.pairs)
        losses = list(forward.losses.values())
        heads = [forward.levels[pair.student] for pair in self.pairs]
        at_levels, at_terms = gradients[:count], gradients[count:]
        if self.trainer is None:
            autograd.backward(losses + heads, [None] * len(losses) + at_levels)
            _write_gradients(self.term_parameters, at_terms, ctx)
            return None
        weights = [p.data(ctx) for p in self.pyramid_parameters]
        of_terms = autograd.grad(heads, weights, at_levels, retain_graph=True)
        autograd.backward(losses)
        return [*of_terms, *at_terms]


def _write_gradients(parameters, gradients, ctx) -> None:
    """Set the gradients of parameters on one device, for the next step of their trainer."""
    for parameter, gradient in zip(parameters, gradients):
        gradient.copyto(parameter.grad(ctx))
        parameter.data(ctx)._fresh_grad = True  # otherwise the trainer calls the gradient stale
