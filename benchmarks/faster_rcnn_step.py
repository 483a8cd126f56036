"""Cost of a Faster R-CNN step in the three phases of GAN-KD, relative to the detection phase.

    python benchmarks/faster_rcnn_step.py [--short 600] [--roi-mode align] [--use-fpn] …

The published pair at its published input size: ResNet50 v1b from ResNet101 v1d, 600 pixels on the short
side, one image on each device. The published implementation's epochs took 463 s with detection only, 640 s
(1.38) with the discriminators, 834 s (1.80) with both (Faster R-CNN log, four GPUs).
"""

from __future__ import annotations

import argparse
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rounds import measure, table

from gan_kd_ssd.util.errors import exit_on_user_error

PUBLISHED = {"detection only": 1.0, "and discriminators": 1.38, "and adversarial update": 1.80}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--student", default="resnet50_v1b")
    parser.add_argument("--teacher", default="resnet101_v1d")
    parser.add_argument("--short", type=int, default=600)
    parser.add_argument("--max-size", type=int, default=1000)
    parser.add_argument("--use-fpn", action="store_true")
    parser.add_argument("--roi-mode", default="align", choices=("align", "pool"))
    parser.add_argument("--update", default="separate", choices=("separate", "joint"))
    parser.add_argument("--d-channels", type=int, default=512)
    parser.add_argument("--gpus", default=None)
    parser.add_argument("--cpu-devices", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    kinds, title = prepare(options)
    print(title)
    print(table(measure(kinds, options.rounds), PUBLISHED))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory of the process: {peak:.1f} GiB")
    return 0


def prepare(options):
    """The steps to time, by name, and a title."""
    import numpy as np

    from gan_kd_ssd.data.batches.faster_rcnn_batches import DevicePart
    from gan_kd_ssd.data.batches.faster_rcnn_targets import RPNTargets
    from gan_kd_ssd.detectors.faster_rcnn import FasterRCNN, FasterRCNNSettings
    from gan_kd_ssd.distill.method import distilled, plain
    from gan_kd_ssd.distill.options import SGD, DistillConfig
    from gan_kd_ssd.engine import devices
    from gan_kd_ssd.logs.records import DISCRIMINATORS, DISTILLATION
    from gan_kd_ssd.util.mxnet import mx

    ctx, line = devices.pick(options.gpus, options.cpu_devices)
    classes = [f"class{i}" for i in range(20)]
    sgd = SGD(lr=1e-5)
    settings = FasterRCNNSettings(
        options.use_fpn, options.roi_mode, options.short, options.max_size
    )

    def detector(network):
        made = FasterRCNN.build(network, classes, settings)
        made.initialize(ctx)
        made.hybridize()
        return made

    student, teacher = detector(options.student), detector(options.teacher)
    config = DistillConfig.from_options(
        {"d_channels": options.d_channels, "clamp": "all", "update": options.update}
    )
    gan = distilled(student, teacher, ctx, sgd, "device", config).steps
    detection = plain(student, ctx, sgd, "device").steps["detection"]
    height = options.short
    width = min(options.max_size, round(height * 4 / 3 / 8) * 8)  # the most frequent shape of VOC
    rng = np.random.default_rng(0)
    targets = RPNTargets(student.anchor_grids(), student.strides)
    size = np.array([width, height])
    corner = rng.uniform(0, 0.5, (3, 2)) * size
    boxes = np.concatenate([corner, corner + size / 3], axis=1).astype(np.float32)
    anchors = targets(boxes, (height, width), (height, width), rng)
    arrays = (rng.normal(size=(3, height, width)), boxes, np.ones((3, 1)), *anchors, np.array(1.0))
    batch = [DevicePart(*[mx.nd.array(a[None]) for a in arrays]) for _ in ctx]
    kinds = {
        "detection only": lambda: detection(batch),
        "and discriminators": lambda: gan[DISCRIMINATORS](batch),
        "and adversarial update": lambda: gan[DISTILLATION](batch),
        "  teacher's pyramid": lambda: [teacher.pyramid(part.images) for part in batch],
    }
    title = f"{student.name} <- {teacher.name}, {height}x{width} pixels; {line}"
    return kinds, title


if __name__ == "__main__":
    sys.exit(exit_on_user_error("benchmarks/faster_rcnn_step.py", main))
