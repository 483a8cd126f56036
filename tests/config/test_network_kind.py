"""Evaluation and export take the same network for the same kind of detector."""

import pytest

from gan_kd_ssd.config import evaluation_options
from gan_kd_ssd.util.errors import UserError


@pytest.mark.parametrize(
    ("network", "faster_rcnn"),
    [
        ("faster_rcnn_resnet50_v1b_voc", True),
        ("resnet101_v1d", True),
        ("fpn_resnet50_v1b", True),
        ("faster_rcnn_resnet10_v1_0.25", True),
        ("resnet10_v1_0.25", False),
        ("ssd_512_resnet50_v1_voc", False),
    ],
)
def test_evaluation_takes_the_kind_from_the_network_s_name(network, faster_rcnn):
    words = ["--network", network, "--params", "x.params"]
    right = ["--short", "300"] if faster_rcnn else ["--data-shape", "300"]
    evaluation_options.parse([*words, *right])
    wrong = ["--data-shape", "300"] if faster_rcnn else ["--short", "300"]
    with pytest.raises(UserError, match=wrong[0]):
        evaluation_options.parse([*words, *wrong])


def test_the_sizes_of_a_faster_rcnn_are_refused_for_an_ssd_with_the_name_to_give():
    words = ["--network", "ssd_512_resnet50_v1_voc", "--params", "x.params", "--max-size", "300"]
    with pytest.raises(UserError, match=r"--max-size: .* is named faster_rcnn_resnet50_v1$"):
        evaluation_options.parse(words)
