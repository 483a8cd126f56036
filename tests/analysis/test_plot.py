"""What a plot shows: blocks, panels, curves at their places, names, bars."""

import io
import math
import xml.etree.ElementTree as ElementTree

import pytest

from gan_kd_ssd.analysis import canvas, plot
from gan_kd_ssd.analysis.analysed_run import analyse
from gan_kd_ssd.analysis.panel import Panel, Style, bars, tick_labels, ticks
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.logs.published import reference
from gan_kd_ssd.logs.records import EpochEnd, RunStart, Step, Validation
from gan_kd_ssd.logs.write import format_record
from gan_kd_ssd.util.errors import UserError

BLUE, ORANGE, GREEN = (style.colour for style in plot.STYLES[:3])
GREY = plot.REFERENCE_STYLE.colour
PANEL_WIDTH, PANEL_HEIGHT = 306, 210
LEFTS, TOPS = (62, 440, 818), (34, 322)
GAN = {"Loss_D": -1.0, "Loss_G": 2.0, "Loss_D_real": 1.0, "Loss_D_fake": 2.0}


def run(name="a_train.log", epochs=4, gan=2, scale=1.0, maps=True, images=100, **options):
    """100 images an epoch: losses fall as 1/epoch, mAP rises by 0.1, 10 and 20 samples/s."""
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


class Picture:
    """An SVG of ``draw``, by its parts."""

    def __init__(self, runs, references=()):
        self.root = ElementTree.fromstring(plot.draw(runs, references, "svg"))
        self.height = float(self.root.get("height"))

    def all(self, tag):
        return [e for e in self.root if e.tag.endswith(tag)]

    @property
    def texts(self):
        return [e.text for e in self.all("text")]

    def at(self, text):
        (found,) = (e for e in self.all("text") if e.text == text)
        return float(found.get("x")), float(found.get("y"))

    def curves(self, colour, panel):
        """Points of the curves of a colour in the ``panel``-th panel, as shares of its sides."""
        left, top = LEFTS[panel % 3], TOPS[panel // 3]
        found = []
        for line in self.all("polyline"):
            points = [tuple(map(float, p.split(","))) for p in line.get("points").split()]
            shares = [
                ((x - left) / PANEL_WIDTH, (top + PANEL_HEIGHT - y) / PANEL_HEIGHT)
                for x, y in points
            ]
            if line.get("stroke") == colour and all(
                -0.01 <= s <= 1.01 for pair in shares for s in pair
            ):
                found.append(shares)
        return found

    def marks(self, colour):
        return [e for e in self.all("polygon") if e.get("fill") == colour]

    def bars(self):
        """Name of its phase or value -> width, of the bars in their order."""
        return [float(e.get("width")) for e in self.all("rect")[1:]]


def heights(points):
    return [y for _, y in points]


# --- blocks and names ------------------------------------------------------------------------------


def test_one_detector_has_one_block_without_a_heading():
    picture = Picture([run()], [published("ssd")])
    assert "SSD" not in picture.texts
    assert picture.texts.count("Detection losses") == 1
    assert f"published: {published('ssd').name}" in picture.texts
    assert "a_train.log" in picture.texts


def test_each_detector_has_a_block_with_its_own_runs_and_reference():
    runs = [published("faster_rcnn"), run()]
    picture = Picture(runs, [published("faster_rcnn"), published("ssd")])
    texts = picture.texts
    first, second = texts.index("Faster R-CNN"), texts.index("SSD")
    assert first < texts.index("RPN losses") < second < texts.index("Detection losses")
    assert texts.index("published: faster_rcnn_resnet50_resnet101_v1b_g_d_voc_train.log") < second
    assert texts.index("a_train.log") > second
    assert picture.at("SSD")[1] > picture.at("RPN losses")[1] + 500
    assert "mAP (dotted: published best, 0.7384)" in texts
    assert "mAP (dotted: published best, 0.7827)" in texts
    assert picture.height > picture.at("a_train.log")[1]


def test_a_reference_of_another_detector_has_a_block_of_its_own():
    picture = Picture([run()], [published("faster_rcnn")])
    assert picture.texts.index("SSD") < picture.texts.index("Faster R-CNN")
    assert {"Detection losses", "RPN losses", "mAP"} <= set(picture.texts)


def test_losses_that_are_not_ours_have_a_panel_each():
    figures = {"ObjLoss": 3.0, "BoxCenterLoss": 2.0}
    text = "".join(
        format_record(Step(epoch, 9, 5.0, figures, style="ssd"))
        + format_record(Validation(epoch, {"x": 0.5}, 0.5, style="ssd"))
        for epoch in (0, 1)
    )
    mine = analyse(parse(text, "yolo.log"))
    picture = Picture([mine], [mine])
    assert {"ObjLoss", "BoxCenterLoss", "mAP (dotted: reference best, 0.5000)"} <= set(
        picture.texts
    )
    assert "AP x" not in picture.texts


def test_runs_of_one_name_are_told_apart_by_their_folders():
    runs = [run("one/x_train.log"), run("two/x_train.log"), run("three/y_train.log")]
    texts = Picture(runs, [run("four/x_train.log")]).texts
    assert {"one/x_train.log", "two/x_train.log", "y_train.log"} <= set(texts)
    assert "reference: x_train.log" in texts


def test_more_runs_than_styles_are_an_error():
    with pytest.raises(UserError, match="5 logs: at most 4"):
        plot.draw([run()] * 5, [], "svg")
    assert plot.draw([run()] * 4, [], "svg")


def test_every_run_has_a_colour_a_dash_a_mark_and_a_hatch_of_its_own():
    styles = [plot.REFERENCE_STYLE, *plot.STYLES]
    for part in ("colour", "dash", "marker", "hatch"):
        assert len({getattr(style, part) for style in styles}) == 5
    picture = Picture([run(), run("b")], [run("c")])
    for style in styles[:3]:
        curve = [e for e in picture.all("polyline") if e.get("stroke") == style.colour]
        dashes = {e.get("stroke-dasharray") for e in curve}
        assert " ".join(f"{d:g}" for d in style.dash) in {d or "" for d in dashes}


# --- curves ----------------------------------------------------------------------------------------


def test_a_curve_stands_at_its_images_and_values_apart_by_phase():
    picture = Picture([run()])
    gan, detection = picture.curves(BLUE, 0)[0], picture.curves(BLUE, 0)[1]
    assert [x for x, _ in gan] == pytest.approx([100 / 416, 200 / 416], abs=1e-3)
    assert [x for x, _ in detection] == pytest.approx([300 / 416, 400 / 416], abs=1e-3)
    # 4 losses from 0.25 to 4: the axis has 6 % of that more above, and room for a name below
    low, high = 0.25 - 2.6 * 0.06 * 3.75, 4 + 0.06 * 3.75
    wanted = [(value - low) / (high - low) for value in (4, 2)]
    assert heights(gan) == pytest.approx(wanted, abs=1e-3)
    assert len(picture.curves(BLUE, 0)) == 4  # two losses in two phases
    assert len(picture.curves(BLUE, 1)) == len(picture.curves(BLUE, 2)) == 1


def test_figures_that_no_run_has_leave_their_panel_empty_and_say_so():
    picture = Picture([run(gan=0)])
    assert picture.texts.count("not in these logs") == 3  # Loss_D, Loss_G, cosine
    assert Picture([run(maps=False)]).texts.count("not in these logs") == 2  # cosine, mAP


def test_the_mean_ap_is_one_curve_and_the_best_of_the_reference_a_dotted_line():
    picture = Picture([run(epochs=3)], [run("r", epochs=4, scale=2.0)])
    (mine,) = picture.curves(BLUE, 4)
    assert len(mine) == 3
    (level,) = (c for c in picture.curves(GREY, 4) if c[0][0] == 0)
    low, high = 0.1 - 0.06 * 0.3, 0.4 + 0.06 * 0.3
    assert "mAP (dotted: reference best, 0.4000)" in picture.texts  # beyond the end of the axis
    assert level[0][1] == level[1][1] == pytest.approx((0.4 - low) / (high - low), abs=1e-3)


def test_the_axis_ends_a_little_after_the_longest_run_and_says_how_far_the_reference_goes():
    picture = Picture([run(epochs=2), run("b", epochs=4)], [run("r", epochs=40)])
    label = "thousand images seen (the reference run goes on to 4)"
    assert picture.texts.count(label) == 4
    assert max(x for c in picture.curves(GREEN, 0) + picture.curves(GREY, 0) for x, _ in c) <= 1
    assert max(x for c in picture.curves(ORANGE, 0) for x, _ in c) == pytest.approx(1 / 1.04, 1e-3)
    same = Picture([run(epochs=4)], [run("r", epochs=4)])
    assert same.texts.count("thousand images seen") == 4
    assert any("goes on" in text for text in Picture([run()], [run("r", epochs=5)]).texts)
    near = Picture([run(epochs=10)], [run("r", epochs=12)])  # 1.2 of the run, not of the axis
    assert not any("goes on" in text for text in near.texts)


def test_a_reference_is_drawn_as_far_as_the_axis_goes():
    picture = Picture([run(epochs=2)], [run("r", epochs=40, gan=40, scale=2.0)])
    (curve, _) = picture.curves(GREY, 0)
    assert len(curve) == 2
    ends = [TOPS[0] + PANEL_HEIGHT * (1 - curve[-1][1]) for curve in picture.curves(GREY, 0)]
    assert picture.at("CrossEntropy")[1] == pytest.approx(min(ends) - 8, abs=0.2)


def test_a_reference_without_validation_has_no_dotted_line():
    texts = Picture([run()], [run("r", maps=False)]).texts
    assert "mAP" in texts and not any("dotted" in text for text in texts)


def test_runs_whose_losses_are_all_lost_are_drawn_as_empty_panels():
    text = format_record(RunStart({"batch_size": 1})) + format_record(
        Step(1, 9, 5.0, {"CrossEntropy": math.nan, "SmoothL1": math.inf})
    )
    lost = analyse(parse(text, "x"))
    assert Picture([lost]).texts.count("not in these logs") == 5
    assert Picture([lost], [run("r")]).texts.count("not in these logs") == 1  # the reference is
    assert Picture([lost], [lost]).texts.count("not in these logs") == 5


def test_a_run_that_is_nothing_beside_the_reference_is_drawn_over_its_own_length():
    picture = Picture([run(epochs=4)], [run("r", epochs=4, images=5000)])
    assert picture.texts.count("% of each run (their lengths are too unlike)") == 4
    ends = [picture.curves(colour, 4)[-1][-1][0] for colour in (BLUE, GREY)]
    assert ends == pytest.approx([100 / 104] * 2, abs=1e-3)


def test_without_images_the_axis_counts_epochs():
    mine = run(batch_size=None)
    picture = Picture([mine], [mine])
    assert picture.texts.count("epochs") == 4
    assert [x for x, _ in picture.curves(BLUE, 4)[0]][-1] == pytest.approx(4 / 4.16, abs=1e-3)
    assert picture.texts.count("4") >= 4  # the last epoch, on the axis of each panel
    for pair in ([mine], [run("b")]), ([run("b")], [mine]), ([run("b"), mine], []):
        mixed = Picture(*pair)
        assert mixed.texts.count("epochs") == 4
        assert all(mixed.curves(colour, 0) for colour in (BLUE, GREY if pair[1] else ORANGE))
    estimated = run(log_interval=7, batch_size=None)
    assert "epochs" in Picture([estimated]).texts


def test_many_images_are_counted_in_millions():
    picture = Picture([published("ssd")], [published("ssd")])
    assert picture.texts.count("million images seen") == 5
    assert Picture([run(images=50_000)]).texts.count("million images seen") == 4
    assert Picture([run(images=49_999)]).texts.count("thousand images seen") == 4


def test_estimated_images_are_called_so():
    estimated = run(log_interval=7)
    assert "thousand images seen (estimated)" in Picture([estimated]).texts
    assert "thousand images seen" in Picture([run()]).texts
    assert "thousand images seen" in Picture([estimated, run("b")]).texts  # the other tells
    other = run("b", images=300)
    assert "thousand images seen (estimated)" in Picture([estimated, other]).texts
    assert "thousand images seen (estimated)" in Picture([other, estimated]).texts


def test_an_epoch_that_is_not_at_its_end_is_drawn_only_where_there_is_no_other():
    text = "".join(e.text() for e in run(epochs=2, gan=0).run.segments[0].entries)
    begun = format_record(Step(3, 0, 9.0, {"CrossEntropy": 9.0, "SmoothL1": 9.0}))
    head = format_record(RunStart({"batch_size": 1, "log_interval": 1, "dataset": "d"}))
    picture = Picture([analyse(parse(head + text + begun, "x"))])
    assert [len(curve) for curve in picture.curves(BLUE, 0)] == [2, 2]
    only = Picture([analyse(parse(head + begun, "x"))])
    assert only.curves(BLUE, 0) == []
    assert len(only.marks(BLUE)) == 4  # two losses; the two ends of the line beside the name


def test_the_names_of_two_losses_stand_at_the_ends_of_their_curves():
    picture = Picture([run()])
    (x, upper), (same, lower) = picture.at("CrossEntropy"), picture.at("SmoothL1")
    assert x == same == LEFTS[0] + PANEL_WIDTH
    ends = sorted(heights([curve[-1] for curve in picture.curves(BLUE, 0)[1::2]]))
    pixels = [TOPS[0] + PANEL_HEIGHT * (1 - share) for share in ends]
    assert upper == pytest.approx(pixels[1] - 8, abs=0.2)
    assert lower == pytest.approx(pixels[0] + 17, abs=0.2)


def test_a_single_loss_needs_no_name_in_its_panel():
    texts = Picture([run()]).texts
    assert "Loss_D" not in texts and "Loss_D (real - fake score)" in texts


def test_the_name_of_a_curve_that_ends_early_stands_beside_it():
    panel = Panel(0, 0, 300, 200, "title", "label", 100.0)
    panel.add([0, 20], [1.0, 2.0], Style("#000000"))
    panel.names = {"ABC": (20.0, 2.0), "DEF": (90.0, 1.0)}
    beside, at_right = (
        next(s for s in panel.shapes() if getattr(s, "text", "") == name) for name in panel.names
    )
    assert (beside.anchor, beside.x) == ("start", 69)
    assert (at_right.anchor, at_right.x) == ("end", 300)


# --- bars ------------------------------------------------------------------------------------------


def test_speeds_are_bars_by_phase():
    picture = Picture([run()], [run("r", gan=0)])
    assert picture.at("gan")[1] < picture.at("detection")[1]
    assert "discriminator" not in picture.texts
    assert [text for text in picture.texts if text in ("10", "20")] == ["10", "20", "20"]
    gan, grey, detection = picture.bars()
    assert grey == detection == pytest.approx(0.86 * PANEL_WIDTH, abs=0.1)
    assert gan == pytest.approx(grey / 2, abs=0.1)


def test_no_speed_is_said_so():
    assert any(getattr(s, "text", "") == "not in these logs" for s in bars(0, 0, 9, 9, "t", []))
    nothing = bars(0, 0, 9, 9, "t", [("gan", [(None, Style("#000000"))])])
    assert any(getattr(s, "text", "") == "not in these logs" for s in nothing)


# --- axes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "low, high, expected",
    [
        (0, 6, [0, 1, 2, 3, 4, 5, 6]),
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (-14.2, 0.8, [-12.5, -10, -7.5, -5, -2.5, 0]),
        (0.19, 0.21, [0.19, 0.195, 0.2, 0.205, 0.21]),
        (5, 5, [5]),
        (math.nan, 1, []),
    ],
)
def test_ticks_are_round_numbers(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize(
    "at, expected",
    [
        ([0, 2.5, 5.0], ["0.0", "2.5", "5.0"]),
        ([0, 10, 20], ["0", "10", "20"]),
        ([0.12, 0.125], ["0.120", "0.125"]),
        ([0.7384], ["0.7384"]),
        ([], []),
    ],
)
def test_ticks_have_the_decimals_that_tell_them_apart(at, expected):
    assert tick_labels(at) == expected


def test_a_flat_curve_has_an_axis_too():
    panel = Panel(0, 0, 300, 200, "t", "x", 10.0)
    panel.add([0, 5, 11], [2.0, 2.0, 9.0], Style("#000000"))  # the last is beyond the axis
    lines = [s for s in panel.shapes() if isinstance(s, canvas.Line) and s.colour == "#000000"]
    assert [y for _, y in lines[0].points] == [100, 100]
    zero = Panel(0, 0, 300, 200, "t", "x", 10.0)
    zero.add([0, 5], [0.0, 0.0], Style("#000000"))
    assert any(getattr(s, "text", "") == "0.0" for s in zero.shapes())


# --- pictures --------------------------------------------------------------------------------------


def test_dashes_cover_a_line_in_their_rhythm():
    pieces = list(canvas.dashes([(0, 0), (10, 0), (10, 10)], [6, 2]))
    assert pieces == [[(0, 0), (6, 0)], [(8, 0), (10, 0), (10, 4)], [(10, 6), (10, 10)]]
    assert list(canvas.dashes([(0, 0), (5, 0)], [])) == [[(0, 0), (5, 0)]]
    assert list(canvas.dashes([(0, 0), (7, 0)], [6, 2])) == [[(0, 0), (6, 0)]]


def test_hatches_stay_in_their_box():
    box = canvas.Box(10, 20, 30, 8, "#000000", 5)
    lines = list(canvas.hatch_lines(box))
    assert len(lines) == 7
    for ends in lines:
        for x, y in ends:
            assert 10 <= x <= 40 and 20 <= y <= 28
    assert all(abs((a[0] - b[0]) + (a[1] - b[1])) < 1e-9 for a, b in lines)


def test_the_png_shows_what_the_svg_does():
    from PIL import Image

    runs, references = [run()], [run("r", scale=2.0)]
    image = Image.open(io.BytesIO(plot.draw(runs, references, "png"))).convert("RGB")
    picture = Picture(runs, references)
    assert image.size == (round(1150 * 1.5), round(picture.height * 1.5))
    x, y = picture.curves(BLUE, 4)[0][1]
    pixel = (1.5 * (LEFTS[1] + PANEL_WIDTH * x), 1.5 * (TOPS[1] + PANEL_HEIGHT * (1 - y)))
    assert image.getpixel(tuple(map(round, pixel))) == (0x00, 0x72, 0xB2)
    assert image.getpixel((0, 0)) == (255, 255, 255)


def test_text_that_a_picture_cannot_hold_is_replaced():
    shapes = [canvas.Text(5, 20, "a\x00b<&\udcff")]
    assert "a?b&lt;&amp;?" in canvas.svg(shapes, 50, 30)
    assert canvas.png(shapes, 50, 30).startswith(b"\x89PNG")
