"""The networks and the batches of a training, from its configuration."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from gan_kd_ssd.config.shared_options import TrainConfig
from gan_kd_ssd.data.formats.dataset import Dataset
from gan_kd_ssd.detectors.base import Detector, detector_class
from gan_kd_ssd.engine.log_hooks import TrainingLog
from gan_kd_ssd.logs.run_metadata import check_classes


class DetectorSetup(ABC):
    """Builds the networks and the training batches; there is a subclass for each kind of detector.

    Args:
        config: configuration of the training, with the batch size resolved.
        ctx: MXNet contexts.
    """

    #: The dialect of the training log.
    log_hook: type[TrainingLog]
    #: Raises UserError for a name that no network of this kind has; takes name and option.
    check_name: Callable

    def __init__(self, config: TrainConfig, ctx: Sequence):
        self.config, self.ctx = config, list(ctx)
        self.detector = detector_class(config.family)

    def student(self, classes: Sequence[str]) -> Detector:
        """Build the student with its initial values.

        Raises:
            UserError: there is no such network, or not with these options.
        """
        config = self.config
        self.check_name(config.networks.student, "--student")
        self.check_student()
        pretrained = config.networks.pretrained_base and not config.output.resume
        student = self.detector.build(
            config.networks.student,
            classes,
            self.student_settings(),
            pretrained_base=pretrained and config.network("student").has_imagenet,
            option="--student",
        )
        student.initialize(self.ctx)
        self.hybridize(student)
        return student

    def check_student(self) -> None:  # noqa: B027 - most detectors have nothing to check
        """Raise :class:`UserError` for options that exclude each other."""

    def student_settings(self):
        """The settings of the student's network."""
        return self.detector.settings(self.config.namespace, len(self.ctx))

    def hybridize(self, student: Detector) -> None:
        """Compile the student."""
        student.hybridize()

    def teacher(self, classes: Sequence[str], student: Detector) -> tuple[Detector, Path]:
        """Load the trained teacher; returns it with its parameter file.

        Raises:
            UserError: there is no such network or file, or it was trained on other classes.
        """
        config, name = self.config, self.config.networks.teacher
        option = f"--{config.teacher_option.replace('_', '-')}"
        self.check_name(name, "--teacher")
        options = {**config.namespace, **student.sizes}
        if config.teacher_file:
            file = Path(config.teacher_file)
            check_classes(file, classes, option)
        else:
            settings = self.detector.settings(options)
            file = self.detector.published_weights(name, settings, config.data.dataset, option)
        teacher = self.detector.load_trained(
            name,
            classes,
            self.teacher_settings(options, file),
            file,
            self.ctx,
            option=option,
            network_option="--teacher",
            hybridize=not config.networks.disable_hybridization,
        )
        return teacher, file

    def teacher_settings(self, options: dict, file: Path):
        """The settings of the teacher's network, from options with the student's input size."""
        return self.detector.settings(options, len(self.ctx))

    @abstractmethod
    def train_batches(self, student: Detector, dataset: Dataset):
        """Training batches as the student's ``parts`` takes them."""
