"""The demo's own logic: reuse, resumption, the table. The demo itself is `make demo`."""

import json
from types import SimpleNamespace

import pytest

from gan_kd_ssd import demo
from gan_kd_ssd.paper import training_runs
from helpers.fake_program import FakeProgram


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for network in demo.NETWORKS:
        network.files.prefix.parent.mkdir(parents=True)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    program = FakeProgram(tmp_path / "program")
    monkeypatch.setattr(training_runs, "PROGRAM", program.words)
    return program


class Bar:
    """A progress bar that nobody sees."""

    n = 0

    def update(self, value):
        self.n += value

    def set_description_str(self, text):
        pass


def train_and_measure_all(bar):
    return [step(network, bar) for step in (demo.train, demo.measure) for network in demo.NETWORKS]


def test_networks_are_trained_and_measured_once_and_found_again(fake):
    bar = Bar()
    assert train_and_measure_all(bar) == [True] * 6
    assert train_and_measure_all(bar) == [False] * 6
    assert [command for command, *_ in fake.calls()] == ["train-ssd"] * 3 + ["eval"] * 3
    seconds = demo.TEACHER.seconds + demo.PLAIN.seconds + demo.GAN_KD.seconds
    assert bar.n > 2 * seconds
    demo.TEACHER.files.params.write_text("another teacher")
    demo.train(demo.GAN_KD, bar)
    assert not demo.GAN_KD.result.exists()  # it is another student, which is measured again


def test_the_bar_shows_the_share_of_images_seen(fake):
    shown = []
    bar = SimpleNamespace(n=0, set_description_str=lambda text: None, refresh=lambda: None)

    def update(value):
        bar.n += value
        shown.append(bar.n)
        if bar.n > 0:
            raise KeyboardInterrupt

    bar.update = update
    fake.plan(waits=True)
    with pytest.raises(KeyboardInterrupt):
        demo.train(demo.TEACHER, bar)
    assert shown[-1] == pytest.approx(demo.TEACHER.seconds / 4)


def test_another_teacher_is_another_recipe_for_its_student_only():
    students = (demo.PLAIN, demo.GAN_KD)
    demo.TEACHER.files.params.write_bytes(b"one")
    before = [network.training().recipe for network in students]
    demo.TEACHER.files.params.write_bytes(b"other")
    after = [network.training().recipe for network in students]
    assert before[0] == after[0] and before[1] != after[1]


def test_the_students_differ_in_the_distillation_only():
    shared = len(demo.STUDENT_OPTIONS)
    assert demo.PLAIN.backbone == demo.GAN_KD.backbone
    assert demo.PLAIN.options[:shared] == demo.GAN_KD.options[:shared] == demo.STUDENT_OPTIONS
    own = {*demo.PLAIN.options[shared:], *demo.GAN_KD.options[shared:]}
    assert {"--lr", "--seed", "--augmentation", "--epochs"}.isdisjoint(own)


@pytest.mark.parametrize("which", demo.NETWORKS, ids=lambda network: network.name)
def test_the_commands_are_accepted(which):
    from gan_kd_ssd.config.evaluation_options import parse
    from helpers.options import parse_train_ssd

    demo.TEACHER.files.params.write_bytes(b"weights")
    _, *words = which.training().words
    assert parse_train_ssd(words).data_shape == demo.DATA_SHAPE
    _, *words = which.eval_command()
    assert parse(words).params == which.files.params


def results(*means):
    for network, mean in zip(demo.NETWORKS, means):
        network.files.metrics.write_text(
            json.dumps({"kind": "run", "namespace": {}, "parameters": 1000}) + "\n"
        )
        figures = {"mAP": mean, "network_images_per_second": 99.6}
        network.result.write_text(json.dumps(figures))


def test_the_table_is_aligned_and_has_the_measured_figures():
    results(0.75, 0.51, 0.52)
    lines = demo.table().splitlines()
    assert len({len(line) for line in lines}) == 1
    for cell in ("1,000", "0.750", "100"):
        assert cell in lines[2]
    assert "0.520" in lines[4]


@pytest.mark.parametrize(
    "gan, text",
    [
        (0.509, "mAP by -0.001, which is less than the difference of 0.032 between two seeds"),
        (0.61, "mAP by +0.100, which is more than the difference of 0.032 between two seeds"),
    ],
)
def test_the_table_is_explained(gan, text):
    results(0.75, 0.51, gan)
    told = demo.explanation()
    assert text in told and "measurement noise" in told


def draw_nothing():
    demo.PICTURES.mkdir(exist_ok=True)
    demo.LAST_PICTURE.touch()


def test_a_second_demo_says_that_there_was_nothing_to_do(fake, monkeypatch, capsys):
    drawn = []
    monkeypatch.setattr(demo, "draw", lambda: drawn.append(draw_nothing()))
    monkeypatch.setattr(demo, "open_images", lambda split: None)
    monkeypatch.setattr(demo, "publish", lambda: ["name"])
    monkeypatch.setattr(demo, "table", lambda: "| table |")
    for said in (False, True):
        assert demo.run([]) == 0
        out = capsys.readouterr().out
        assert ("nothing to do: all results are from the earlier run" in out) == said
        assert "| table |" in out and "two seeds" in out
    assert len(drawn) == 1
    demo.LAST_PICTURE.unlink()  # an earlier demo was interrupted while it drew
    demo.run([])
    assert len(drawn) == 2


def test_an_interrupted_demo_is_resumed(fake, monkeypatch, capsys):
    def interrupt(split):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "open_images", interrupt)
    assert demo.run([]) == 130
    assert "the same command resumes the demo" in capsys.readouterr().err
