"""The published logs, and what PAPER.md and the tolerances say about them."""

import hashlib
from pathlib import Path
from statistics import fmean, pstdev

import numpy as np
import pytest

from gan_kd_ssd.analysis.epoch_size import epoch_size
from gan_kd_ssd.analysis.logged_figures import CLASS_AP, DIVERGED, INACTIVE, MAP, run_figures
from gan_kd_ssd.analysis.show import summarise
from gan_kd_ssd.analysis.summary import mean_ap, phase_costs, phase_speed
from gan_kd_ssd.analysis.tolerances import settings
from gan_kd_ssd.logs import published
from gan_kd_ssd.logs.published import REFERENCES, reference
from gan_kd_ssd.logs.records import Step
from gan_kd_ssd.logs.write import format_record

SHA256 = {  # of the authors' files
    "ssd": "6e6702b98fac7df28b236298f0116a60bd3cc3fecb1ac3805dcefdd999afc632",
    "faster_rcnn": "da288ad9650947630e9203b1a004935039edf68ebc2042afce627331c7134801",
}


@pytest.fixture(scope="module")
def ssd():
    return reference("ssd").last_trained


@pytest.fixture(scope="module")
def faster_rcnn():
    return reference("faster_rcnn").last_trained


def at(run, name, epoch, batch=199):
    """A figure of a step line in the first segment of a run."""
    (record,) = (
        entry.record
        for entry in run.segments[0].of(Step)
        if (entry.record.epoch, entry.record.batch) == (epoch, batch)
    )
    return record.figures[name]


@pytest.mark.parametrize("name", REFERENCES)
def test_the_writer_prints_a_published_log_to_the_byte(name):
    log = reference(name)
    assert not log.unknown and log.source == REFERENCES[name]
    written = "".join(format_record(entry.record) for entry in log.entries)
    for text in (written, log.text()):
        assert hashlib.sha256(text.encode()).hexdigest() == SHA256[name]
    assert log.sha256 == SHA256[name]


def test_the_licence_of_the_published_logs_travels_with_them():
    folder = Path(published.__file__).parent / "published_logs"
    assert "MIT License" in (folder / "LICENSE").read_text()
    assert {file.name for file in folder.iterdir()} == {
        *("LICENSE", "ssd.log.gz", "faster_rcnn.log.gz")
    }


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
    values = [round(f.value, 4) for f in run_figures(ssd) if f.kind == MAP]
    assert values == [0.7827, 0.7820, 0.7802, 0.7801, 0.7805]


def test_mean_ap_of_the_faster_rcnn_log(faster_rcnn):
    figures = run_figures(faster_rcnn)
    values = {f.place.epoch: f.value for f in figures if f.kind == MAP}
    told = {0: 0.385, 1: 0.448, 2: 0.580, 4: 0.640, 5: 0.700, 17: 0.734, 26: 0.7228, 27: 0.7356}
    for epoch, value in told.items():
        assert values[epoch] == pytest.approx(value, abs=0.0005)
    reached = mean_ap(figures, 11)
    assert (round(reached.best.value, 4), reached.best.place.epoch) == (0.7384, 35)
    assert round(reached.last.value, 4) == 0.7360
    assert round(reached.mean_of_last, 4) == 0.7350
    assert round(reached.deviation_of_last, 4) == 0.0017


def test_phases_and_their_costs(ssd, faster_rcnn):
    phases = phase_speed(run_figures(faster_rcnn))
    assert {name: of.epochs for name, of in phases.items()} == {
        "discriminator": 2,
        "gan": 25,
        "detection": 11,
    }
    assert [round(of.seconds_per_epoch) for of in phases.values()] == [640, 833, 463]
    costs = phase_costs(phases)
    assert (round(costs["discriminator"], 2), round(costs["gan"], 2)) == (1.38, 1.80)
    of_ssd = phase_speed(run_figures(ssd))
    assert round(phase_costs(of_ssd)["gan"], 2) == 1.64
    assert round(of_ssd["gan"].samples_per_second, 1) == 35.0
    assert round(of_ssd["detection"].samples_per_second, 1) == 57.2


def test_nan_is_inactive_and_never_diverged(ssd, faster_rcnn):
    for run, lines in ((ssd, range(471, 575)), (faster_rcnn, range(1146, 1546))):
        figures = run_figures(run)
        assert not [f for f in figures if f.state == DIVERGED]
        inactive = [f for f in figures if f.state == INACTIVE]
        assert inactive and all(f.place.line in lines for f in inactive)


def test_the_images_of_an_epoch_tell_the_data():
    assert epoch_size(reference("ssd").last_trained).name == "VOC 07+12 trainval"
    assert epoch_size(reference("faster_rcnn").last_trained).name == "VOC 07 trainval"


def test_summary_counts_namespaces_and_runs():
    summary = summarise(reference("faster_rcnn"))
    assert (summary["namespaces"], len(summary["runs"]), summary["lines"]) == (8, 45, 1545)
    assert not summary["not_understood"]


# --- where the tolerances come from ---------------------------------------------------------------


def detrended(run, name, first, last):
    values = [at(run, name, epoch) for epoch in range(first, last + 1)]
    line = np.polyfit(range(len(values)), values, 1)
    return np.std(values - np.polyval(line, range(len(values)))), abs(np.mean(values))


def test_the_noise_floor_is_the_spread_of_the_last_11_epochs(faster_rcnn):
    floor = settings()["noise_floor"]["value"]
    figures = run_figures(faster_rcnn)
    values = [f.value for f in figures if f.kind == MAP and f.place.epoch >= 27]
    assert round(pstdev(values), 4) == floor == settings()["mAP"]["spread"]


def test_the_spread_of_a_class(faster_rcnn):
    late = [f for f in run_figures(faster_rcnn) if f.kind == CLASS_AP and f.place.epoch >= 27]
    late = [[f.value for f in late if f.name == name] for name in {f.name for f in late}]
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
    before = reference("faster_rcnn").runs[43]
    for name, of in settings()["losses"]["faster_rcnn"].items():
        gaps = []
        for epoch in (0, 1):
            a, b = (at(run, name, epoch, 1199) for run in (before, faster_rcnn))
            gaps.append(abs(a - b) if of["kind"] == "absolute" else abs(a / b - 1))
        assert of["spread"] == pytest.approx(
            max(*gaps, 0.001 * (of["kind"] == "absolute")), abs=1e-4
        )
