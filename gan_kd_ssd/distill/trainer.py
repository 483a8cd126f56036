"""The trainers of the method."""

from __future__ import annotations

from gan_kd_ssd.util.mxnet import mx


def make_trainer(parameters, optimizer: str, settings: dict, kvstore: str):
    """A trainer that sums gradients over devices and keeps its optimizer's state on them."""
    return mx.gluon.Trainer(
        parameters, optimizer, settings, kvstore=kvstore, update_on_kvstore=False
    )


def write_gradients(parameters, gradients, ctx) -> None:
    """Set the gradients of parameters on one device, for the next step of their trainer."""
    for parameter, gradient in zip(parameters, gradients):
        gradient.copyto(parameter.grad(ctx))
        parameter.data(ctx)._fresh_grad = True  # otherwise the trainer calls the gradient stale
