"""Normalisation of images, the same for both detectors."""

from __future__ import annotations

import cv2
import numpy as np

MEAN = (0.485, 0.456, 0.406)  # of RGB in 0..1 (ImageNet), as GluonCV's pretrained backbones expect
STD = (0.229, 0.224, 0.225)

_NORMALISE = np.array(
    [[*(np.eye(3)[c] / (255 * STD[c])), -MEAN[c] / STD[c]] for c in range(3)], np.float32
)


def normalised_planes(image: np.ndarray) -> np.ndarray:
    """Normalise an image uint8 (H, W, 3), RGB: float32 (3, H, W), (value / 255 - MEAN) / STD."""
    return planes(recolour(image, _NORMALISE))


def recolour(pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Apply an affine map of the three channels, float32 (3, 4), to pixels (H, W, 3)."""
    return cv2.transform(np.asarray(pixels, np.float32), matrix)


def planes(pixels: np.ndarray) -> np.ndarray:
    """Convert pixels (H, W, 3) to contiguous planes (3, H, W)."""
    result = np.empty((3, *pixels.shape[:2]), np.float32)
    cv2.split(pixels, list(result))
    return result
