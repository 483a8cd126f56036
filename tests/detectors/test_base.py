"""The interface that all detectors share."""

import dataclasses

import numpy as np
import pytest

from gan_kd_ssd.data.batches.faster_rcnn_batches import DevicePart
from gan_kd_ssd.data.batches.faster_rcnn_targets import RPNTargets
from gan_kd_ssd.detectors.base import DETECTORS, Detector, detector_class
from gan_kd_ssd.detectors.names import KINDS
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx

CLASSES = ["disc", "square"]
CPU = [mx.cpu()]
NETWORK = "resnet10_v1_0.125"
OPTIONS = {"data_shape": 64, "short": 64, "max_size": 96}


@pytest.fixture(params=KINDS)
def detector(request):
    kind = detector_class(request.param)
    made = kind.build(NETWORK, CLASSES, kind.settings(OPTIONS))
    made.initialize(CPU)
    return made


def batch_of(detector, make_batch):
    """A training batch of one image, as the detector's ``parts`` takes it."""
    if detector.kind == "ssd":
        return make_batch(detector, 1)
    boxes = np.array([[5, 5, 30, 30]], np.float32)
    targets = RPNTargets(detector.anchor_grids(), detector.strides)
    targets = targets(boxes, (64, 64), (64, 64), np.random.default_rng(0))
    classes, encoded = (mx.nd.array(array[None]) for array in targets)
    x = mx.nd.random.uniform(shape=(1, 3, 64, 64))
    given = (mx.nd.array(boxes[None]), mx.nd.zeros((1, 1, 1)), classes, encoded, mx.nd.ones((1,)))
    return [DevicePart(x, *given)]


def test_every_kind_has_its_class():
    assert set(DETECTORS) == set(KINDS)
    for kind in KINDS:
        assert issubclass(detector_class(kind), Detector) and detector_class(kind).kind == kind


def test_losses_and_counts_are_named_and_stay_on_the_device(detector, make_batch):
    (part,) = detector.parts(batch_of(detector, make_batch), CPU)
    assert part.images.shape == (1, 3, 64, 64)
    result = detector.forward(part)
    shapes = [level.shape[1:] for level in result.levels]
    assert [shape[0] for shape in shapes] == [shape[0] for shape in detector.shapes]
    assert tuple(result.losses) == detector.loss_names
    assert all(loss.shape == (1,) for loss in result.losses.values())
    assert tuple(result.counts) == detector.count_names
    assert all(array.shape == (1,) for pair in result.counts.values() for array in pair)
    mx.autograd.backward(list(result.losses.values()))
    gradients = [parameter.grad().asnumpy() for parameter in detector.parameters()]
    assert all(np.isfinite(g).all() for g in gradients) and any(g.any() for g in gradients)


def test_pyramid_parameters_come_first_and_are_counted(detector):
    parameters, pyramid = detector.parameters(), detector.pyramid_parameters()
    assert {p.name for p in pyramid} < {p.name for p in parameters}
    assert detector.parameter_count() == sum(int(np.prod(p.shape)) for p in parameters)


def test_sizes_are_those_of_the_options(detector):
    assert detector.sizes.items() <= OPTIONS.items()
    assert set(detector.sizes) <= set(detector.network_options)
    assert detector.any_size == (detector.kind == "faster_rcnn")
    image = np.zeros((48, 64, 3), np.uint8)
    assert detector.prepare(image).shape == ((3, 64, 85) if detector.any_size else (3, 64, 64))


@pytest.mark.parametrize("kind", KINDS)
def test_options_that_are_not_set_leave_the_defaults(kind):
    settings = detector_class(kind).settings({name: None for name in ("data_shape", "roi_mode")})
    assert settings == type(settings)() and dataclasses.is_dataclass(settings)


def test_a_file_loads_for_inference_without_naming_an_option(detector, tmp_path):
    file, kind = tmp_path / "x.params", type(detector)
    detector.net.save_parameters(str(file))
    loaded = kind.load_trained(NETWORK, CLASSES, kind.settings(OPTIONS), file, CPU)
    assert not loaded.parameters() and loaded.shapes == detector.shapes
    x = mx.nd.random.uniform(shape=(1, 3, 64, 64))
    for mine, theirs in zip(loaded.detect(x), detector.detect(x)):
        np.testing.assert_allclose(mine.asnumpy(), theirs.asnumpy(), rtol=1e-3, atol=1e-4)
    missing = tmp_path / "y.params"
    with pytest.raises(UserError, match=rf"^{missing}: no such file"):
        kind.load_trained(NETWORK, CLASSES, kind.settings(OPTIONS), missing, CPU)
