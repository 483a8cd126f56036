"""The derived tables say what PAPER.md and the original files say."""

from statistics import fmean, pstdev

import numpy as np
import pytest

from gan_kd_ssd.analysis.epoch_size import epoch_size
from gan_kd_ssd.analysis.figures import ARTEFACT, DIVERGED, INACTIVE, last_trained, run_figures
from gan_kd_ssd.analysis.summary import mean_ap, phase_costs, phase_speed, summarize
from gan_kd_ssd.analysis.tolerances import settings
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.logs.published import REFERENCES, data_file, load_json, reference, to_tables
from gan_kd_ssd.logs.published import tables_text as json_text
from gan_kd_ssd.paper.tables import cells
from gan_kd_ssd.util.errors import UserError

SHA256 = {  # of the authors' files
    "ssd": "6e6702b98fac7df28b236298f0116a60bd3cc3fecb1ac3805dcefdd999afc632",
    "faster_rcnn": "da288ad9650947630e9203b1a004935039edf68ebc2042afce627331c7134801",
}


@pytest.fixture(scope="module")
def ssd():
    return run_figures(last_trained(reference("ssd")))


@pytest.fixture(scope="module")
def faster_rcnn():
    return run_figures(last_trained(reference("faster_rcnn")))


def at(figures, name, epoch, batch=199, phase="gan"):
    found = [
        f for f in figures if (f.name, f.epoch, f.batch, f.phase) == (name, epoch, batch, phase)
    ]
    assert len(found) == 1
    return found[0].value


@pytest.mark.parametrize("name", REFERENCES)
def test_the_tables_written_out_have_the_originals_sha256(name):
    assert reference(name).sha256 == SHA256[name] == load_json(REFERENCES[name])["sha256"]


@pytest.mark.parametrize("name", REFERENCES)
def test_the_tables_are_what_derive_makes_of_the_log(name):
    log, tables = reference(name), load_json(REFERENCES[name])
    text = json_text(to_tables(parse(log.text()), tables["source"], tables["licence"]))
    assert text == data_file(REFERENCES[name]).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", REFERENCES)
def test_every_row_stands_on_the_line_that_it_names(name):
    log = reference(name)
    for entry, again in zip(log.entries, parse(log.text()).entries):
        assert (entry.line, entry.count) == (again.line, again.count)


def test_a_log_with_unknown_lines_does_not_fit_into_tables():
    with pytest.raises(UserError, match="line 2"):
        to_tables(parse("Namespace(a=1)\nhello\n", "x.log"), "x", "y")


@pytest.mark.parametrize(
    "epoch, expected",
    [(1, -14.1), (5, -6.3), (10, -3.9), (20, -0.33), (100, -0.64), (120, -0.1), (221, -0.09)],
)
def test_loss_d_of_the_ssd_log(ssd, epoch, expected):
    digits = 1 if abs(expected) > 1 or expected == -0.1 else 2
    assert round(at(ssd, "Loss_D", epoch), digits) == expected


@pytest.mark.parametrize(
    "epoch, expected",
    [
        (1, 5.21),
        (5, 3.37),
        (10, 3.06),
        (20, 2.77),
        (40, 2.47),
        (100, 2.03),
        (150, 1.74),
        (200, 1.41),
    ],
)
def test_cross_entropy_of_the_ssd_log(ssd, epoch, expected):
    assert at(ssd, "CrossEntropy", epoch) == pytest.approx(expected, abs=0.006)


@pytest.mark.parametrize("epoch, expected", [(5, 0.50), (20, 0.43), (40, 0.38)])
def test_cosine_of_the_ssd_log(ssd, epoch, expected):
    assert at(ssd, "cosine", epoch) == pytest.approx(expected, abs=0.006)


def test_cross_entropy_jumps_where_the_errata_say(ssd):
    assert at(ssd, "CrossEntropy", 60) == pytest.approx(2.34, abs=0.02)
    assert at(ssd, "CrossEntropy", 61) == pytest.approx(2.51, abs=0.02)
    assert at(ssd, "CrossEntropy", 179) == pytest.approx(1.66, abs=0.02)
    assert at(ssd, "CrossEntropy", 181) == pytest.approx(1.52, abs=0.02)


def test_mean_ap_of_the_ssd_log(ssd):
    values = [round(f.value, 4) for f in ssd if f.name == "mAP"]
    assert values == [0.7827, 0.7820, 0.7802, 0.7801, 0.7805]


def test_mean_ap_of_the_faster_rcnn_log(faster_rcnn):
    values = {f.epoch: f.value for f in faster_rcnn if f.name == "mAP"}
    told = {0: 0.385, 1: 0.448, 2: 0.580, 4: 0.640, 5: 0.700, 17: 0.734, 26: 0.7228, 27: 0.7356}
    for epoch, value in told.items():
        assert values[epoch] == pytest.approx(value, abs=0.0005)
    best = mean_ap(faster_rcnn, 11)
    assert (round(best["best"], 4), best["best_epoch"], round(best["last"], 4)) == (
        0.7384,
        35,
        0.7360,
    )
    assert round(best["mean_of_last"], 4) == 0.7350
    assert round(best["deviation_of_last"], 4) == 0.0017


def test_phases_and_their_costs(ssd, faster_rcnn):
    phases = phase_speed(faster_rcnn)
    assert {name: of["epochs"] for name, of in phases.items()} == {
        "discriminator": 2,
        "gan": 25,
        "detection": 11,
    }
    assert [round(of["seconds_per_epoch"]) for of in phases.values()] == [640, 833, 463]
    costs = phase_costs(phases)
    assert (round(costs["discriminator"], 2), round(costs["gan"], 2)) == (1.38, 1.80)
    assert round(phase_costs(phase_speed(ssd))["gan"], 2) == 1.64
    assert round(phase_speed(ssd)["gan"]["samples_per_second"], 1) == 35.0
    assert round(phase_speed(ssd)["detection"]["samples_per_second"], 1) == 57.2


def test_nan_is_inactive_and_never_diverged(ssd, faster_rcnn):
    for figures, lines in ((ssd, range(471, 575)), (faster_rcnn, range(1146, 1546))):
        assert not [f for f in figures if f.state == DIVERGED]
        inactive = [f for f in figures if f.state == INACTIVE]
        assert inactive and all(f.line in lines for f in inactive)


def test_the_speed_of_the_ssd_epoch_lines_is_an_artefact(ssd):
    lines = [f.line for f in ssd if f.averaging == ARTEFACT]
    assert lines == [448, 473, 499, 525, 551]


def test_the_images_of_an_epoch_tell_the_data():
    assert epoch_size(last_trained(reference("ssd"))).name == "VOC 07+12 trainval"
    assert epoch_size(last_trained(reference("faster_rcnn"))).name == "VOC 07 trainval"


def test_summary_counts_namespaces_and_runs():
    summary = summarize(reference("faster_rcnn"))
    assert (summary["namespaces"], len(summary["runs"]), summary["lines"]) == (8, 45, 1545)
    assert not summary["not_understood"]


def test_the_papers_tables():
    published = {
        (c.table, c.student, c.teacher, c.cosine, c.roi_mode): c.published for c in cells()
    }
    assert len(published) == 13 + 6 + 4
    assert published[1, "mobilenet1.0", None, False, None] == 75.4
    assert published[1, "mobilenet1.0", "resnet50_v1", True, None] == 78.4
    assert published[1, "mobilenetv2_1.0", "resnet101_v2", False, None] == 77.5
    assert published[1, "resnet18_v1", "vgg16_atrous", False, None] == 77.2
    assert published[2, "mobilenet0.75", "resnet50_v1", False, None] == 23
    assert published[2, "mobilenetv2_1.0", None, False, None] == 22
    assert published[3, "resnet50_v1b", "resnet101_v1d", True, "pool"] == 73.8
    assert published[3, "resnet50_v1b", None, False, "align"] == 71.7


# --- where the tolerances come from ---------------------------------------------------------------


def detrended(figures, name, first, last):
    values = [at(figures, name, epoch) for epoch in range(first, last + 1)]
    line = np.polyfit(range(len(values)), values, 1)
    return np.std(values - np.polyval(line, range(len(values)))), abs(np.mean(values))


def test_the_noise_floor_is_the_spread_of_the_last_11_epochs(faster_rcnn):
    floor = settings()["noise_floor"]["value"]
    values = [f.value for f in faster_rcnn if f.name == "mAP" and f.epoch >= 27]
    assert round(pstdev(values), 4) == floor == settings()["mAP"]["spread"]


def test_the_spread_of_a_class(faster_rcnn):
    classes = {f.name for f in faster_rcnn if f.name.startswith("AP ")}
    late = [[f.value for f in faster_rcnn if f.name == n and f.epoch >= 27] for n in classes]
    assert round(fmean(map(pstdev, late)), 4) == settings()["AP"]["spread"]


def test_the_spreads_of_the_ssd_losses(ssd):
    spreads = {name: of["spread"] for name, of in settings()["losses"]["ssd"].items()}
    first, second = (reference("ssd").runs[i].segments[0] for i in (0, 1))
    a, b = (
        next(e.record for e in s.entries if hasattr(e.record, "batch")) for s in (first, second)
    )
    for name in ("CrossEntropy", "SmoothL1"):
        gap = abs(a.figures[name] / b.figures[name] - 1)
        assert spreads[name] == pytest.approx(gap, abs=1e-4)
    deviation, mean = detrended(ssd, "cosine", 21, 60)
    assert spreads["cosine"] == pytest.approx(deviation / mean, abs=1e-4)
    spans = ((21, 60), (80, 110), (120, 160), (190, 221))
    for name in ("Loss_D", "Loss_G", "Loss_D_real", "Loss_D_fake"):
        largest = max(detrended(ssd, name, *span)[0] for span in spans)
        assert spreads[name] == pytest.approx(largest, abs=1e-3)


def test_the_spreads_of_the_faster_rcnn_losses(faster_rcnn):
    before = run_figures(reference("faster_rcnn").runs[43])
    for name, of in settings()["losses"]["faster_rcnn"].items():
        gaps = []
        for epoch in (0, 1):
            a, b = (at(run, name, epoch, 1199, "discriminator") for run in (before, faster_rcnn))
            gaps.append(abs(a - b) if of["kind"] == "absolute" else abs(a / b - 1))
        assert of["spread"] == pytest.approx(
            max(*gaps, 0.001 * (of["kind"] == "absolute")), abs=1e-4
        )
