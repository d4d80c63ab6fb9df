"""Small pictures that can be mammograms: conversion rejects noise."""

import cv2
import numpy as np


def draw_breast(number: int) -> np.ndarray:
    """Return a bright half ellipse with some texture at the left side, on black.

    Args:
        number: Seed of the texture, and size of the breast.

    Returns:
        (96, 72) uint16, [0, 65535].
    """
    breast = np.zeros((96, 72), np.float32)
    cv2.ellipse(breast, (0, 48), (50 + number % 7, 40), 0, -90, 90, 30_000.0, -1)
    texture = np.random.default_rng(number).normal(0, 6_000, breast.shape).astype(np.float32)
    textured = breast + cv2.GaussianBlur(texture, (0, 0), 2) * (breast > 0)
    return np.clip(cv2.GaussianBlur(textured, (0, 0), 1.5), 0, 65535).astype(np.uint16)
