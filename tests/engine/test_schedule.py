"""The phases of both published schedules, and the learning rates."""

import pytest

from gan_kd_ssd.config.training_config import from_words
from gan_kd_ssd.engine import rates, schedule
from gan_kd_ssd.engine.schedule import phases
from gan_kd_ssd.logs.records import LearningRate

SSD, FASTER_RCNN = "train_ssd_gkd.py", "train_faster_rcnn_gkd.py"


def phases_of(script, *words):
    """The phases of a command line."""
    config = from_words(script, [str(word) for word in words])
    return phases(config)


def test_the_published_ssd_run_is_gan_up_to_its_last_epoch_then_detection():
    gan, detection = phases_of(SSD, "--gan-val-interval", 0)
    assert (gan.name, gan.first, gan.last, gan.validated) == ("gan", 1, 221, {221})
    assert (detection.name, detection.first, detection.last) == ("detection", 222, 340)
    assert detection.validated == set(range(222, 341))


@pytest.mark.parametrize(
    "words, expected",
    [
        (["--distill", "none", "--epochs", 5], [("detection", 1, 5)]),
        (["--epochs", 5, "--gan-epochs", 9], [("gan", 1, 5)]),
        (
            ["--epochs", 5, "--gan-epochs", 3, "--start-epoch", 4, "--resume", "x"],
            [("detection", 4, 5)],
        ),
    ],
)
def test_phases_without_an_epoch_are_left_out(words, expected):
    assert [(phase.name, phase.first, phase.last) for phase in phases_of(SSD, *words)] == expected


def test_validations_come_each_interval_of_the_run_and_at_the_end_of_a_phase():
    (plain,) = phases_of(SSD, "--distill", "none", "--epochs", 5, "--val-interval", 2)
    assert plain.validated == {2, 4, 5}
    gan, detection = phases_of(SSD, "--epochs", 9, "--gan-epochs", 4, "--val-interval", 3)
    assert (gan.validated, detection.validated) == ({3, 4}, {6, 9})


def test_the_published_faster_rcnn_run_starts_with_the_discriminators():
    found = [(phase.name, phase.first, phase.last) for phase in phases_of(FASTER_RCNN)]
    assert found == [("discriminator", 0, 1), ("gan", 2, 26), ("detection", 27, 37)]
    resumed = phases_of(FASTER_RCNN, "--start-epoch", 5)
    assert [(phase.name, phase.first) for phase in resumed] == [("gan", 5), ("detection", 27)]
    short = phases_of(FASTER_RCNN, "--epochs", 4, "--GAN-epochs", 0)
    assert [(p.name, p.last) for p in short] == [("discriminator", 0), ("detection", 3)]
    (plain,) = phases_of(FASTER_RCNN, "--distill", "none")
    assert plain.name == "detection"


def test_epochs_that_are_left_after_a_resume():
    gan, detection = phases_of(SSD, "--epochs", 4, "--gan-epochs", 2)
    assert (list(gan.epochs(2)), list(gan.epochs(3)), list(detection.epochs(2))) == (
        [2],
        [],
        [3, 4],
    )


def test_learning_rate_falls_at_its_epochs_and_is_a_function_of_the_epoch():
    rates = [schedule.learning_rate(0.001, 0.1, (80, 100), epoch) for epoch in (79, 80, 99, 100)]
    assert rates == pytest.approx([0.001, 0.0001, 0.0001, 0.00001])


class Trainer:
    def __init__(self, rate):
        self.learning_rate = rate

    def set_learning_rate(self, rate):
        self.learning_rate = rate


def test_the_rates_of_all_trainers_are_set_and_their_changes_are_logged():
    written = []

    class Log:
        write = staticmethod(written.append)

    class Training:
        class progress:
            epoch, batch = 0, 0

    trainers = {
        "student": Trainer(0.1),
        "discriminators": Trainer(0.004),
        "adversarial": Trainer(0.002),
    }
    words = ["--lr-decay", "0.5", "--lr-decay-epoch", "2", "--lr-decay-GAN-epoch", "1,2"]
    config = from_words(FASTER_RCNN, words)
    hook = rates.LearningRates(trainers, config, Log)
    seen = []
    for Training.progress.epoch in range(3):
        hook.before_epoch(Training)
        seen.append([trainer.learning_rate for trainer in trainers.values()])
    assert seen == [[0.1, 0.004, 0.002], [0.1, 0.002, 0.001], [0.05, 0.001, 0.0005]]
    assert written == [
        LearningRate(1, 0.002, gan=True),
        LearningRate(1, 0.001, gan=True),
        LearningRate(2, 0.05),
        LearningRate(2, 0.001, gan=True),
        LearningRate(2, 0.0005, gan=True),
    ]
