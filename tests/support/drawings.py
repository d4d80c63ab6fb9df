"""Small drawn pictures with the gray levels of a mammogram."""

import numpy as np


def draw_breast(seed=0, bits=12, shape=(96, 72)):
    """Return a half ellipse with texture and a blob on black: `(h, w)`, [0, 2**bits - 1].

    It is uint8 for 8 bits, otherwise uint16; each seed gives another picture.
    """
    random = np.random.default_rng(seed)
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(0, 1, shape[1]), indexing="ij")
    center = random.uniform(-0.4, 0.4), random.uniform(0.1, 0.5)
    picture = 0.4 + 0.15 * np.cos(3 * y) * (1 - x) + random.normal(0, 0.04, shape)
    picture += random.uniform(0.1, 0.4) * ((y - center[0]) ** 2 + (x - center[1]) ** 2 < 0.02)
    picture = np.where(y**2 + (x / 0.8) ** 2 < 0.9, picture, 0)
    picture[shape[0] // 2, 5] = 1  # the whole range is used
    levels = (picture.clip(0, 1) * (2**bits - 1)).round()
    return levels.astype(np.uint8 if bits == 8 else np.uint16)
