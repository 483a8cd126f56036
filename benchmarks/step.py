"""What a GAN-KD step costs, in one run, as ratios to a plain step.

    python benchmarks/step.py [--student mobilenet1.0] [--teacher resnet50_v1] [--data-shape 512] …

Times every kind of step in turn, round after round, and takes medians: what the machine does besides
falls on all of them. The published implementation's GAN stage cost 1.64 plain steps (SSD log: 57.2
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
    import numpy as np

    from gan_kd_ssd.data.batches.ssd_batches import TrainBatch
    from gan_kd_ssd.detectors import ssd
    from gan_kd_ssd.distill.step import DetectionStep, DistillOptions, GanStep
    from gan_kd_ssd.engine import devices
    from gan_kd_ssd.util.mxnet import mx

    ctx = devices.pick(options.gpus)[0][:1]  # one device: the parts add up to the step
    print(f"device: {ctx[0]}")
    classes = [f"class{i}" for i in range(20)]
    sgd = {"learning_rate": 1e-4, "momentum": 0.9, "wd": 5e-4}

    def detector(network):
        made = ssd.build(network, classes, options.data_shape)
        made.initialize(ctx)
        made.hybridize()
        return made

    teacher = detector(options.teacher)
    plain = DetectionStep(detector(options.student), ctx, sgd, "device")
    gans = {
        update: GanStep(
            detector(options.student),
            teacher,
            ctx,
            sgd,
            "device",
            DistillOptions(update=update, channels=options.d_channels),
        )
        for update in ("joint", "separate")
    }
    rng = np.random.RandomState(0)
    anchors = len(plain.student.anchors)
    targets = (rng.rand(options.batch_size, anchors) < 0.005) * 1.0
    batch = TrainBatch(
        mx.nd.array(rng.randn(options.batch_size, 3, options.data_shape, options.data_shape)),
        mx.nd.array(targets),
        mx.nd.zeros((options.batch_size, anchors, 4)),
        int(targets.sum()),
    )
    x = batch.images.as_in_context(ctx[0])
    gan = gans["joint"]
    real = [teacher.pyramid(x)[pair.teacher] for pair in gan.pairs]

    def discriminators():
        """What a GAN-KD step must do beside the student and the teacher, on the teacher's maps."""
        for level in real:
            level.attach_grad()
        with mx.autograd.record():
            scores = gan.critic(*real, *real)
            loss = (scores[0] - scores[1]).sum()
        loss.backward()
        gan.trainer_d.step(1)
        with mx.autograd.record():
            terms, _ = gan.terms(*real, *real, *real)
            loss = terms.sum()
        mx.autograd.grad(loss, real)

    return {
        "plain step": lambda: plain(batch),
        "GAN-KD step, joint update": lambda: gans["joint"](batch),
        "GAN-KD step, separate updates": lambda: gans["separate"](batch),
        "  teacher's pyramid": lambda: teacher.pyramid(x),
        "  discriminators, both parts": discriminators,
    }


if __name__ == "__main__":
    sys.exit(exit_on_user_error("benchmarks/step.py", main))
