"""What a plot shows: panels, curves at their places, names, bars."""

import io
import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from gan_kd_ssd.analysis import plot
from gan_kd_ssd.analysis.analysed_run import analyse
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.logs.published import reference
from gan_kd_ssd.logs.records import EpochEnd, RunStart, Step, Validation
from gan_kd_ssd.logs.write import format_record
from gan_kd_ssd.util.errors import UserError
from helpers.log_runs import entries_text

BLUE, ORANGE, BLACK = (style.colour for style in plot.STYLES[:3])
GREY = plot.REFERENCE_STYLE.colour
GAN = {"Loss_D": -1.0, "Loss_G": 2.0, "Loss_D_real": 1.0, "Loss_D_fake": 2.0}
CLASS_LOSS, BOX_LOSS = "Classification loss (CrossEntropy)", "Box loss (SmoothL1)"
MEAN_AP, SPEED = "Validation mAP", "Training speed by phase (not compared)"


def run(name="a_train.log", epochs=4, gan=2, scale=1.0, maps=True, images=100, **options):
    """100 images per epoch: losses fall as 1/epoch, mAP rises by 0.1, 10 and 20 samples/s."""
    namespace = {"batch_size": 1, "log_interval": 1, "dataset": "d", "student": "s", **options}
    text = format_record(RunStart(namespace))
    for epoch in range(1, epochs + 1):
        on = GAN if epoch <= gan else {}
        figures = {**on, "CrossEntropy": 4 * scale / epoch, "SmoothL1": scale / epoch}
        speed = 10.0 if epoch <= gan else 20.0
        text += format_record(Step(epoch, images - 1, speed, figures))
        text += format_record(EpochEnd(epoch, figures, speed))
        if maps:
            text += format_record(Validation(epoch, {"x": 0.1 * epoch}, 0.1 * epoch))
    return analyse(parse(text, name))


def published(name):
    return analyse(reference(name), published=True)


class Drawn:
    """A picture, by its parts."""

    def __init__(self, runs, references=()):
        self.figure = plot.picture(runs, references)
        self.parts = self.figure.subfigs
        self.axes = {axes.get_title(): axes for part in self.parts for axes in part.axes}

    def panel(self, title):
        (found,) = (axes for name, axes in self.axes.items() if name.startswith(title))
        return found

    def lines(self, title, colour, vertical=False):
        """The curves of a colour, or its vertical lines, as lists of points."""
        found = []
        for line in self.panel(title).lines:
            points = [tuple(point) for point in line.get_xydata()]
            straight = len(points) == 2 and [y for _, y in points] == [0, 1]
            if to_hex(line.get_color()) == colour and straight == vertical:
                found.append(points)
        return found

    def legend(self, part=0):
        (legend,) = self.parts[part].legends
        return [text.get_text() for text in legend.get_texts()]

    def labels(self):
        """The labels of the horizontal axes of curves."""
        return {axes.get_xlabel() for name, axes in self.axes.items() if name != SPEED}


def test_each_loss_has_a_panel_with_a_title_and_axis_labels_in_words():
    picture = Drawn([run()], [published("ssd")])
    assert [title.partition(" (d")[0] for title in picture.axes] == [
        *(CLASS_LOSS, BOX_LOSS, "Discriminator loss (Loss_D)", "Generator loss (Loss_G)"),
        *("Attention loss (cosine)", MEAN_AP, SPEED),
    ]
    assert all(axes.get_xlabel() and axes.get_ylabel() for axes in picture.axes.values())
    assert len(picture.parts) == 1 and picture.parts[0].get_suptitle() == ""
    assert picture.legend() == [
        *(
            f"published: {published('ssd').name}",
            "a_train.log",
            "vertical line: end of the GAN stage",
        ),
    ]


def test_each_detector_has_a_block_with_its_own_runs_and_reference():
    runs = [published("faster_rcnn"), run()]
    picture = Drawn(runs, [published("faster_rcnn"), published("ssd")])
    assert [part.get_suptitle() for part in picture.parts] == ["Faster R-CNN", "SSD"]
    assert {"RPN objectness loss (RPN_Conf)", "RCNN box loss (RCNN_SmoothL1)"} <= set(picture.axes)
    assert len(picture.parts[0].axes) == 8
    assert f"published: {published('faster_rcnn').name}" in picture.legend(0)
    assert "a_train.log" in picture.legend(1) and "a_train.log" not in picture.legend(0)
    assert "Validation mAP (dotted: published best, 0.7384)" in picture.axes
    assert "Validation mAP (dotted: published best, 0.7827)" in picture.axes


def test_a_reference_of_another_detector_has_a_block_of_its_own():
    picture = Drawn([run()], [published("faster_rcnn")])
    assert [part.get_suptitle() for part in picture.parts] == ["SSD", "Faster R-CNN"]


def test_losses_of_other_names_have_a_panel_each():
    figures = {"Obj$Loss": 3.0, "BoxCenterLoss": 2.0, "c": 1.0, "d": 1.0, "e": 1.0}
    text = "".join(
        format_record(Step(epoch, 9, 5.0, figures, style="ssd"))
        + format_record(Validation(epoch, {"x": 0.5}, 0.5, style="ssd"))
        for epoch in (0, 1)
    )
    mine = analyse(parse(text, "yolo.log"))
    picture = Drawn([mine], [mine])
    assert list(picture.axes) == [
        *("Obj$Loss", "BoxCenterLoss", "c", "d", f"{MEAN_AP} (dotted: reference best, 0.5000)"),
        SPEED,
    ]
    assert plot.draw([mine])


def test_panels_of_figures_that_no_run_has_are_left_out():
    picture = Drawn([run(gan=0)])
    assert list(picture.axes) == [CLASS_LOSS, BOX_LOSS, MEAN_AP, SPEED]
    without = Drawn([run(maps=False)]).panel(MEAN_AP)
    assert [text.get_text() for text in without.texts] == ["no figures"]
    assert not picture.panel(MEAN_AP).texts


def test_runs_of_one_name_are_distinguished_by_their_folders():
    runs = [run("one/x_train.log"), run("two/x_train.log"), run("three/_y$a$_train.log")]
    picture = Drawn(runs, [run("four/x_train.log")])
    assert picture.legend()[:4] == [
        *("reference: x_train.log", "one/x_train.log", "two/x_train.log", " _y$a$_train.log"),
    ]
    assert plot.draw(runs)


def test_more_runs_than_styles_are_an_error():
    with pytest.raises(UserError, match="5 logs: a plot shows at most 4"):
        plot.draw([run()] * 5)
    assert plot.picture([run()] * 4)


def test_each_run_has_a_colour_a_line_a_marker_and_a_hatch_of_its_own():
    styles = [plot.REFERENCE_STYLE, *plot.STYLES]
    for part in ("colour", "marker", "hatch"):
        assert len({getattr(style, part) for style in styles}) == 5
    picture = Drawn([run(), run("b")], [run("c")])
    lines = [line for line in picture.panel(CLASS_LOSS).lines if len(line.get_xdata()) > 1]
    for style in styles[:3]:
        (drawn,) = {(x.get_linewidth(), x.get_marker()) for x in of_colour(lines, style.colour)}
        assert drawn == (style.width, style.marker or "None")
    hatches = [bar.patches[0].get_hatch() for bar in picture.panel(SPEED).containers]
    assert hatches == [style.hatch for style in styles[:3]]


def of_colour(lines, colour):
    return [x for x in lines if to_hex(x.get_color()) == colour and x.get_ydata()[0] > 0]


def test_the_plots_of_runs_differ_in_grey():
    def grey(runs):
        image = Image.open(io.BytesIO(plot.draw(runs, [run("r", scale=2.0)]))).convert("L")
        return np.asarray(image, float)

    one, other = grey([run("a"), run("b", scale=1.5)]), grey([run("a", scale=1.5), run("b")])
    assert one.shape == other.shape and (abs(one - other) > 60).sum() > 500


def test_a_curve_is_at_its_images_and_values_apart_by_phase():
    picture = Drawn([run()])
    assert picture.lines(CLASS_LOSS, BLUE) == [
        [(0.1, 4.0), (0.2, 2.0)],
        [(0.3, pytest.approx(4 / 3, abs=1e-3)), (0.4, 1.0)],
    ]
    assert picture.lines(BOX_LOSS, BLUE)[0] == [(0.1, 1.0), (0.2, 0.5)]
    assert len(picture.lines("Discriminator loss", BLUE)) == 1
    (mean_ap,) = picture.lines(MEAN_AP, BLUE)  # over all phases
    assert mean_ap == [(pytest.approx(0.1 * e), pytest.approx(0.1 * e)) for e in (1, 2, 3, 4)]


def test_the_end_of_the_gan_stage_is_marked_in_each_panel():
    picture = Drawn([run()])
    for title in (CLASS_LOSS, "Generator loss", MEAN_AP):
        assert [x for (x, _), _ in picture.lines(title, BLUE, vertical=True)] == [0.2]
    for mine in (run(gan=0), run(gan=4)):
        assert Drawn([mine]).lines(CLASS_LOSS, BLUE, vertical=True) == []
        assert Drawn([mine]).legend() == ["a_train.log"]
    late = Drawn([run(epochs=2, gan=0)], [run("r", epochs=40, gan=30)])
    assert late.lines(CLASS_LOSS, GREY, vertical=True) == []  # beyond the axis


def test_the_best_map_of_the_reference_is_a_dotted_line():
    picture = Drawn([run(epochs=3)], [run("r", epochs=4)])
    assert [x for x, _ in picture.lines(MEAN_AP, BLUE)[0]] == [0.1, 0.2, 0.3]
    assert f"{MEAN_AP} (dotted: reference best, 0.4000)" in picture.axes  # beyond the axis
    assert [(0, pytest.approx(0.4)), (1, pytest.approx(0.4))] in picture.lines(MEAN_AP, GREY)
    assert MEAN_AP in Drawn([run()], [run("r", maps=False)]).axes


def test_the_axis_ends_a_little_after_the_longest_run_and_says_how_far_the_reference_goes():
    picture = Drawn([run(epochs=2), run("b", epochs=4)], [run("r", epochs=40)])
    assert picture.labels() == {"thousand images seen\n(the reference run has 4)"}
    assert picture.panel(CLASS_LOSS).get_xlim() == (0, pytest.approx(0.416))
    assert max(x for c in picture.lines(CLASS_LOSS, GREY) for x, _ in c) == pytest.approx(0.4)
    same = Drawn([run(epochs=4)], [run("r", epochs=4)])
    assert same.labels() == {"thousand images seen"}
    assert "the reference" in Drawn([run()], [run("r", epochs=5)]).labels().pop()
    near = Drawn([run(epochs=10)], [run("r", epochs=12)])  # 1.2 of the run, but not of the axis
    assert near.labels() == {"thousand images seen"}
    assert Drawn([run()], [published("ssd")]).labels() == {
        "% of each run (lengths differ too much)"
    }


def test_runs_whose_losses_diverged_have_empty_panels():
    text = format_record(RunStart({"batch_size": 1})) + format_record(
        Step(1, 9, 5.0, {"CrossEntropy": math.nan, "SmoothL1": math.inf})
    )
    lost = analyse(parse(text, "x"))
    for picture in (Drawn([lost]), Drawn([lost], [lost])):
        for title in (CLASS_LOSS, BOX_LOSS, MEAN_AP):
            assert [text.get_text() for text in picture.panel(title).texts] == ["no figures"]
    assert not Drawn([lost], [run("r")]).panel(CLASS_LOSS).texts  # the reference is drawn


def test_a_run_much_shorter_than_the_reference_is_drawn_over_its_own_length():
    picture = Drawn([run(epochs=4)], [run("r", epochs=4, images=5000)])
    assert picture.labels() == {"% of each run (lengths differ too much)"}
    for colour in (BLUE, GREY):
        assert max(x for c in picture.lines(CLASS_LOSS, colour) for x, _ in c) == 100


def test_without_images_the_axis_counts_epochs():
    mine = run(batch_size=None)
    picture = Drawn([mine], [mine])
    assert picture.labels() == {"epochs"}
    assert [x for x, _ in picture.lines(MEAN_AP, BLUE)[0]] == [1, 2, 3, 4]
    for pair in ([mine], [run("b")]), ([run("b")], [mine]), ([run("b"), mine], []):
        mixed = Drawn(*pair)
        assert mixed.labels() == {"epochs"}
        assert all(mixed.lines(CLASS_LOSS, c) for c in (BLUE, GREY if pair[1] else ORANGE))
    assert Drawn([run(log_interval=7, batch_size=None)]).labels() == {"epochs"}


@pytest.mark.parametrize("images, unit", [(50_000, "million"), (49_999, "thousand")])
def test_many_images_are_counted_in_millions(images, unit):
    assert Drawn([run(images=images)]).labels() == {f"{unit} images seen"}


def test_estimated_images_are_labelled_so():
    estimated, other = run(log_interval=7), run("b", images=300)
    exact, about = {"thousand images seen"}, {"thousand images seen (estimated)"}
    assert Drawn([estimated]).labels() == about
    assert Drawn([run()]).labels() == exact
    assert Drawn([estimated, run("b")]).labels() == exact  # the other run shows the number
    assert Drawn([estimated, other]).labels() == Drawn([other, estimated]).labels() == about


def test_an_incomplete_epoch_is_drawn_only_if_there_is_no_other():
    text = entries_text(run(epochs=2, gan=0)).split("\n", 1)[1]
    begun = format_record(Step(3, 0, 9.0, {"CrossEntropy": 9.0, "SmoothL1": 9.0}))
    head = format_record(RunStart({"batch_size": 1, "log_interval": 1, "dataset": "d"}))
    picture = Drawn([analyse(parse(head + text + begun, "x"))])
    assert [len(curve) for curve in picture.lines(CLASS_LOSS, BLUE)] == [2]
    only = Drawn([analyse(parse(head + begun, "x"))])
    assert [len(curve) for curve in only.lines(CLASS_LOSS, BLUE)] == [1]


def test_a_single_point_of_the_reference_has_a_marker():
    picture = Drawn([run(epochs=1, gan=0)], [run("r", epochs=1, gan=0)])
    markers = {line.get_marker() for line in of_colour(picture.panel(CLASS_LOSS).lines, GREY)}
    assert markers == {"o"}


def test_speeds_are_bars_by_phase_with_their_values():
    picture = Drawn([run()], [run("r", gan=0)])
    axes = picture.panel(SPEED)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["gan", "detection"]
    heights = [[bar.get_height() for bar in container] for container in axes.containers]
    assert heights == [[20.0], [10.0, 20.0]]
    assert [text.get_text() for text in axes.texts] == ["20", "10", "20"]
    edges = [[to_hex(bar.get_edgecolor()) for bar in container] for container in axes.containers]
    assert edges == [[GREY], [BLUE, BLUE]]


def test_pictures_are_png_or_svg_and_the_same_in_each_run():
    runs, references = [run("caf\udce9\x00.log")], [run("r")]
    png = plot.draw(runs, references)
    assert Image.open(io.BytesIO(png)).format == "PNG"
    svg = plot.draw(runs, references, "svg")
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert plot.draw(runs, references, "svg") == svg


def test_text_is_within_the_picture_and_the_legend_hides_no_panel():
    picture = Drawn([run("long " * 20), run("b")], [published("ssd")])
    picture.figure.draw_without_rendering()
    (legend,) = picture.parts[0].legends
    box = legend.get_window_extent()
    panels = [axes.get_tightbbox() for axes in picture.axes.values()]
    assert box.y0 >= 0 and not any(box.overlaps(panel) for panel in panels)
    for i, panel in enumerate(panels):
        assert panel.y0 >= 0 and panel.y1 <= picture.figure.bbox.y1 + 1
        assert not any(shrunk(panel).overlaps(shrunk(other)) for other in panels[i + 1 :])


def shrunk(box):
    return box.shrunk(0.95, 0.95)
