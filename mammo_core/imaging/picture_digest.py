"""A short digest of what a mammogram shows, and how alike two digests are.

Files of one picture differ in every byte once it is saved again, resized, reduced to 8 bits,
flipped, cut at its margins or brightened. What stays is the texture of the tissue: the picture is
reduced to a small grid, filtered to the middle frequencies and divided by its local strength.

A digest has two parts: the reduced texture, which is compared by correlation, and the codes of its
strongest spots with their places, by which pairs worth comparing are found among many pictures. A
code says which of the points around a spot are bright, in the least of its mirror images.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.float32]
#: Side of the grid on which a picture is filtered, and of the texture that is kept.
_GRID: Final = 96
_SIDE: Final = 32
#: Side of the texture when it is compared: pictures are shifted by half a cell and less.
_COMPARED: Final = 64
#: Levels of the texture that are kept: 4 bits, in steps of a third of its local strength.
_STEPS: Final = 3.0
#: Points around a spot, in cells of the grid: (rows, columns) from its center.
_RINGS: Final = tuple(
    (row * a, column * b)
    for row, column in ((0, 5), (5, 0), (4, 4), (0, 10), (10, 0), (7, 7), (3, 9), (9, 3))
    for a in (1, -1)
    for b in (1, -1)
    if (row or a > 0) and (column or b > 0)
)
_MARGIN: Final = 11
SPOTS: Final = 64
_TEXTURE_BYTES: Final = _SIDE * _SIDE // 2
#: A spot: its code (4), and its distance from the center of the picture in rows and columns.
SPOT: Final = np.dtype([("code", "<u4"), ("row", "u1"), ("column", "u1")])
#: A digest begins with its version. Its length is a multiple of 3, so base 64 has no padding.
_VERSION: Final = bytes([1])
DIGEST_BYTES: Final = 1 + _TEXTURE_BYTES + SPOTS * SPOT.itemsize

#: Sizes relative to each other that are tried when two textures are compared: cut margins.
_SCALES: Final = (0.94, 0.97, 1.0, 1.03, 1.06)
#: Cells of the texture by which two may be shifted against each other.
_SHIFT: Final = 4
_INNER: Final = 6


def picture_digest(pixels: npt.NDArray[Any]) -> bytes:
    """Return the digest of a picture.

    Args:
        pixels: `(h, w) uint8 or uint16`, any range, black is low.

    Returns:
        DIGEST_BYTES bytes; of a picture without texture, all of them are 0.
    """
    import cv2

    small = cv2.resize(pixels, (_GRID, _GRID), interpolation=cv2.INTER_AREA).astype(np.float32)
    low, high = np.percentile(small, [2, 99])
    if high <= low:
        return bytes(DIGEST_BYTES)
    texture = _texture(np.clip((small - low) / (high - low), 0, 1).astype(np.float32))
    reduced = cv2.resize(texture, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    levels = (np.clip(np.round(reduced * _STEPS), -8, 7) + 8).astype(np.uint8).ravel()
    packed: bytes = (levels[::2] << 4 | levels[1::2]).tobytes()
    return _VERSION + packed + _spots(texture).tobytes()


def texture_of(digest: npt.NDArray[np.uint8]) -> _Floats:
    """Return the texture in a digest, `(64, 64) float32`, about [-8, 7].

    Args:
        digest: `(DIGEST_BYTES,) uint8`.
    """
    import cv2

    packed = digest[1 : 1 + _TEXTURE_BYTES]
    levels = np.stack([packed >> 4, packed & 15], axis=1).reshape(_SIDE, _SIDE)
    texture = np.asarray(levels, np.float32) - 8
    size = (_COMPARED, _COMPARED)
    return np.asarray(cv2.resize(texture, size, interpolation=cv2.INTER_CUBIC), np.float32)


def spots_of(digests: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the spots of pictures.

    Args:
        digests: `(n, DIGEST_BYTES) uint8`.

    Returns:
        `(m,) int64`, the position of the picture of each spot, and `(m,)` with the fields `code`
        (uint32, less than 2**26), `row` and `column` (uint8, less than 48): the distance from the
        center of the picture, the same for mirrored pictures.
    """
    parts = np.ascontiguousarray(digests[:, 1 + _TEXTURE_BYTES :])
    spots = parts.view(SPOT)
    used = spots["code"] > 0
    return np.nonzero(used)[0], spots[used]


def likeness(texture: _Floats, other: _Floats, enough: float = 1.0) -> float:
    """Return how alike two textures are: their correlation, at best, [-1, 1].

    Mirrored, shifted and cut pictures are compared where they fit best.

    Args:
        texture: As `texture_of` returns it.
        other: Another one.
        enough: The search for the best fit ends at a correlation of this much.
    """
    import cv2

    inner = slice(_INNER, _COMPARED - _INNER)
    mirrored = [
        np.ascontiguousarray(other[::rows, ::columns][inner, inner])
        for rows in (1, -1)
        for columns in (1, -1)
    ]
    outer = slice(_INNER - _SHIFT, _COMPARED - _INNER + _SHIFT)
    scores = [_best(texture[outer, outer], image) for image in mirrored]
    image = mirrored[int(np.argmax(scores))]
    best = max(scores)
    middle = (_COMPARED - 1) / 2
    for rows in _SCALES:
        for columns in _SCALES:
            if best >= enough:
                return best
            if rows == columns == 1.0:
                continue
            placed = np.array(
                [[columns, 0, (1 - columns) * middle], [0, rows, (1 - rows) * middle]], np.float32
            )
            scaled = cv2.warpAffine(
                texture, placed, (_COMPARED, _COMPARED), borderMode=cv2.BORDER_REFLECT
            )
            best = max(best, _best(np.asarray(scaled[outer, outer], np.float32), image))
    return best


def likeness_in_place(texture: _Floats, other: _Floats) -> float:
    """Return how alike two textures are where they are: their correlation, [-1, 1].

    Args:
        texture: As `texture_of` returns it.
        other: Another one. That of a picture without texture is like no other: 0.
    """
    one, two = texture - texture.mean(), other - other.mean()
    strength = float(np.sqrt((one * one).sum() * (two * two).sum()))
    return float((one * two).sum()) / strength if strength else 0.0


def _best(texture: Any, part: Any) -> float:
    import cv2

    return float(np.max(cv2.matchTemplate(texture, part, cv2.TM_CCOEFF_NORMED)))


def _texture(picture: _Floats) -> _Floats:
    import cv2

    def blurred(image: Any, cells: float) -> Any:
        return cv2.GaussianBlur(image, (0, 0), cells)

    detail = blurred(picture, 0.8) - blurred(picture, 4.0)
    return np.asarray(detail / (np.sqrt(blurred(detail * detail, 6.0)) + 0.01), np.float32)


def _spots(texture: _Floats) -> npt.NDArray[Any]:
    import cv2

    smooth = cv2.GaussianBlur(texture, (0, 0), 1.0)
    strength = np.abs(smooth)
    peaks = strength >= cv2.dilate(strength, np.ones((5, 5), np.uint8))
    peaks[:_MARGIN] = peaks[-_MARGIN:] = False
    peaks[:, :_MARGIN] = peaks[:, -_MARGIN:] = False
    rows, columns = np.nonzero(peaks)
    chosen = np.argsort(-strength[rows, columns], kind="stable")[:SPOTS]
    rows, columns = rows[chosen], columns[chosen]
    points = np.array(_RINGS)
    bright = smooth[rows[:, None] + points[:, 0], columns[:, None] + points[:, 1]] > 0
    weights = 1 << np.arange(len(_RINGS), dtype=np.int64)
    codes = np.min([(bright[:, order] * weights).sum(axis=1) for order in _MIRRORED], axis=0)
    spots = np.zeros(SPOTS, SPOT)
    # An odd code is that of a bright spot; 0 stands for no spot.
    spots["code"][: len(rows)] = (codes + 1) * 2 + (smooth[rows, columns] > 0)
    middle = (_GRID - 1) / 2
    spots["row"][: len(rows)] = np.abs(rows - middle)
    spots["column"][: len(rows)] = np.abs(columns - middle)
    return spots


_MIRRORED: Final = tuple(
    np.array([_RINGS.index((row * a, column * b)) for row, column in _RINGS])
    for a in (1, -1)
    for b in (1, -1)
)
