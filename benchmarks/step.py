"""Cost of a GAN-KD step relative to a plain step, measured in one run.

    python benchmarks/step.py [--student mobilenet1.0] [--teacher resnet50_v1] [--data-shape 512] …

All kinds of steps are timed in turn, round after round, and the medians are compared: other load of the
machine slows all of them. The published implementation's GAN stage cost 1.64 plain steps (SSD log: 57.2
samples/s against 35.0, four GPUs, batch 64).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rounds import measure, table

from gan_kd_ssd.util.errors import exit_on_user_error

PUBLISHED = 1.64


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--student", default="mobilenet1.0")
    parser.add_argument("--teacher", default="resnet50_v1")
    parser.add_argument("--data-shape", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--d-channels", type=int, default=512)
    parser.add_argument("--gpus", default=None)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    kinds = prepare(options)
    print(
        f"{options.student} <- {options.teacher}, {options.data_shape} pixels, "
        f"batch {options.batch_size}, discriminators of {options.d_channels} channels"
    )
    print(table(measure(kinds, options.rounds)))
    print(f"published (log): GAN stage {PUBLISHED:.2f} x plain, on four GPUs")
    return 0


def prepare(options) -> dict:
    """The kinds of steps to time, by name."""
    from gan_kd_ssd.detectors.ssd import SSD, SSDSettings
    from gan_kd_ssd.distill.method import distilled, plain
    from gan_kd_ssd.distill.options import SGD, DistillConfig
    from gan_kd_ssd.engine import devices
    from gan_kd_ssd.logs.records import DISTILLATION

    ctx = devices.pick(options.gpus)[0][:1]  # one device: the parts add up to the step
    print(f"device: {ctx[0]}")
    classes = [f"class{i}" for i in range(20)]
    sgd = SGD(lr=1e-4)

    def detector(network):
        made = SSD.build(network, classes, SSDSettings(options.data_shape))
        made.initialize(ctx)
        made.hybridize()
        return made

    teacher, student = detector(options.teacher), detector(options.student)
    detection = plain(student, ctx, sgd, "device").steps["detection"]
    gans = {}
    for update in ("joint", "separate"):
        config = DistillConfig.from_options({"update": update, "d_channels": options.d_channels})
        gans[update] = distilled(detector(options.student), teacher, ctx, sgd, "device", config)
    batch = make_batch(options, len(student.anchors))
    x = batch.images.as_in_context(ctx[0])
    return {
        "plain step": lambda: detection(batch),
        "GAN-KD step, joint update": lambda: gans["joint"].steps[DISTILLATION](batch),
        "GAN-KD step, separate updates": lambda: gans["separate"].steps[DISTILLATION](batch),
        "  teacher's pyramid": lambda: teacher.pyramid(x),
        "  discriminators (update and gradient)": discriminators(gans["joint"], teacher.pyramid(x)),
    }


def make_batch(options, anchors: int):
    """A batch of noise with random targets."""
    import numpy as np

    from gan_kd_ssd.data.batches.ssd_batches import TrainBatch
    from gan_kd_ssd.util.mxnet import mx

    rng = np.random.RandomState(0)
    targets = (rng.rand(options.batch_size, anchors) < 0.005) * 1.0
    return TrainBatch(
        mx.nd.array(rng.randn(options.batch_size, 3, options.data_shape, options.data_shape)),
        mx.nd.array(targets),
        mx.nd.zeros((options.batch_size, anchors, 4)),
        int(targets.sum()),
    )


def discriminators(method, levels):
    """The work of the discriminators in a GAN-KD step, on the teacher's maps."""
    from gan_kd_ssd.logs.records import DISTILLATION
    from gan_kd_ssd.util.mxnet import mx

    gan, _cosine = method.steps[DISTILLATION].terms
    real = [levels[pair.teacher] for pair in method.pairs]

    def run():
        for level in real:
            level.attach_grad()
        with mx.autograd.record():
            scores = gan.critic(*real, *real)
            loss = (scores[0] - scores[1]).sum()
        loss.backward()
        gan.trainer.step(1)
        with mx.autograd.record():
            loss = gan.discriminator(*real).sum()
        mx.autograd.grad(loss, real)

    return run


if __name__ == "__main__":
    sys.exit(exit_on_user_error("benchmarks/step.py", main))
