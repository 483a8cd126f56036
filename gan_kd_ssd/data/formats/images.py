"""Reader of image files that detects truncated and damaged ones."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from gan_kd_ssd.util.errors import UserError

_JPEG, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


def read_image(path: Path) -> np.ndarray:
    """Decode an image file into uint8 (H, W, 3), RGB; raise a UserError if it is damaged."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); put the image back") from error
    if _truncated(data):
        raise UserError(f"{path} is truncated ({len(data)} bytes); copy the image again")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # an empty file, for example
        pixels = None
    if pixels is None:
        raise UserError(f"{path} is not an image that OpenCV can read; replace it")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)


def _truncated(data: bytes) -> bool:
    """Whether a JPEG or PNG file, which may have further bytes, ends before its end marker."""
    # OpenCV decodes a truncated JPEG without an error and fills the rest with grey.
    if data.startswith(_PNG):
        return _PNG_END not in data[-65536:] and _PNG_END not in data
    if data.startswith(_JPEG):
        scan = _first_scan(data)
        # Within scan data, 0xFF is followed by 0x00 or a restart marker: the end marker is unique.
        return scan is None or data.rfind(_JPEG_END, scan) < 0
    return False


def _first_scan(data: bytes) -> int | None:
    """Offset of the first scan of a JPEG file, or None if the file ends before it."""
    # Segments are skipped by their lengths: one may hold a thumbnail with its own end marker.
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return at  # not a marker: leave the decision to the decoder
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker == 0xDA:
            return at
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
