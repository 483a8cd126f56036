"""Files are written beside their name, forced to the disk, and renamed: whole, or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from gan_kd_ssd.errors import UserError


def write_atomically(
    path: Path, write: Callable[[Path], None], failures: tuple[type[Exception], ...] = (OSError,)
) -> None:
    """Call ``write(temporary)``, force it to the disk and rename it to ``path``.

    Args:
        failures: exceptions of ``write`` that mean that there is no place for the file.

    Raises:
        UserError: it could not be written (a full disk, no permission); ``path`` is as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        move_into_place(temporary, path)
    except failures as error:
        reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[-1]
        kept = "; the file that was there is kept" if path.exists() else ""
        raise UserError(
            f"{path}: cannot be written ({reason}){kept}; free some space, or choose another place"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def move_into_place(temporary: Path, path: Path) -> None:
    """Force a file to the disk and give it its name, which stands after a power cut as well."""
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
