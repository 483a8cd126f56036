"""Handling of SIGTERM and SIGINT: finish the step, save the state and stop."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator

from gan_kd_ssd.engine.hooks import Hook
from gan_kd_ssd.util.errors import UserError

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(Exception):
    """A signal asked the run to stop; its number is ``signum``."""

    def __init__(self, signum: int, kept: str = ""):
        super().__init__(f"{signal.Signals(signum).name}{kept}")
        self.signum = signum


class Interrupt(Hook):
    """Remembers the first signal and stops the training before its next step.

    A second signal ends the process at once.
    """

    signum: int | None = None

    def __call__(self, signum, _frame):
        if self.signum is not None:
            signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)
        self.signum = signum

    def check(self) -> None:
        """Raise :class:`Interrupted` if a signal has been received."""
        if self.signum is not None:
            raise Interrupted(self.signum)

    def before_step(self, training) -> None:
        self.check()

    def after_validation_batch(self, training) -> None:
        self.check()

    @contextlib.contextmanager
    def keeping(self, save: Callable[[], str]) -> Iterator[None]:
        """If a signal ends the block, call ``save`` and raise :class:`Interrupted` with its text."""
        try:
            yield
        except (Interrupted, UserError):
            # Ctrl-C reaches the worker processes as well; their end is then not an error.
            if self.signum is None:
                raise
            raise Interrupted(self.signum, save()) from None


@contextlib.contextmanager
def caught() -> Iterator[Interrupt]:
    """Handle :data:`SIGNALS` with an :class:`Interrupt` while the block runs."""
    interrupt = Interrupt()
    before = {number: signal.signal(number, interrupt) for number in SIGNALS}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
