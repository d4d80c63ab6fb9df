"""Find the images that show the same picture, among any number of them."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mammo_core.imaging.picture_digest import SPOTS, likeness, spots_of, texture_of

#: Textures at least this alike are one picture. Copies reach 0.93 when 3 % of two sides is cut,
#: and 0.95 otherwise; different mammograms of the phantom that share spots stay below 0.89.
SAME_PICTURE: Final = 0.91
#: Spots with a code that more pictures share say nothing.
_COMMON: Final = 64
#: Cells by which the place of a spot may differ: 3 % of a side is cut, and 3 % for rounding.
_MOVED: Final = 8
#: Spots that two pictures share at least; among more pictures, more are shared by chance.
_SHARED: Final = 2
_MANY: Final = 20_000
_SHARED_BY_MANY: Final = 3
#: Pictures whose spots are unpacked at a time, and textures that are kept.
_UNPACKED: Final = 50_000
_KEPT: Final = 4_096
#: Bits of a spot: its code, the number of its picture, its row and its column.
_CODE, _PICTURE, _ROW = 36, 12, 6
_LOW: Final = (1 << _ROW) - 1
_BITS: Final = _CODE - _PICTURE
_PICTURES: Final = (1 << _BITS) - 1

_Numbers = npt.NDArray[np.int64]


def same_pictures(digests: npt.NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return the pairs of pictures that are the same, saved or processed differently.

    Args:
        digests: `(n, DIGEST_BYTES) uint8`, rows as `picture_digest` returns them; fewer than 16
            million.

    Returns:
        (first, second) positions in `digests`, sorted, the smaller first.
    """
    least = _SHARED if len(digests) <= _MANY else _SHARED_BY_MANY
    same: list[tuple[int, int]] = []
    textures: dict[int, Any] = {}
    for first, second in _candidates(_packed_spots(digests), least).tolist():
        if len(textures) > _KEPT:
            textures.clear()
        for at in (first, second):
            if at not in textures:
                textures[at] = texture_of(digests[at])
        if likeness(textures[first], textures[second], SAME_PICTURE) >= SAME_PICTURE:
            same.append((first, second))
    return same


def _packed_spots(digests: npt.NDArray[np.uint8]) -> _Numbers:
    """Return the spots, each as one number, sorted by code and picture."""
    packed, count = np.empty(len(digests) * SPOTS, np.int64), 0
    for start in range(0, len(digests), _UNPACKED):
        picture, spots = spots_of(digests[start : start + _UNPACKED])
        numbers = spots["code"].astype(np.int64) << _CODE
        numbers |= (picture + start) << _PICTURE
        numbers |= spots["row"].astype(np.int64) << _ROW
        packed[count : count + len(numbers)] = numbers | spots["column"]
        count += len(numbers)
    packed = packed[:count]
    packed.sort()
    return packed


def _candidates(spots: _Numbers, least: int) -> _Numbers:
    """Return the pairs that share enough spots, sorted: (n, 2)."""
    starts = np.flatnonzero(np.diff(spots >> _CODE, prepend=-1))
    sizes = np.diff(starts, append=len(spots))
    spots = spots[np.repeat((sizes > 1) & (sizes <= _COMMON), sizes)]
    at = np.arange(len(spots))
    parts: list[_Numbers] = []
    for step in range(1, _COMMON):
        at = at[at < len(spots) - step]
        at = at[spots[at] >> _CODE == spots[at + step] >> _CODE]
        if not len(at):
            break
        one, other = spots[at], spots[at + step]
        near = _distance(one >> _ROW, other >> _ROW) <= _MOVED
        near &= _distance(one, other) <= _MOVED
        first, second = (each[near] >> _PICTURE & _PICTURES for each in (one, other))
        parts.append((first << _BITS | second)[first != second])
    if not parts:
        return np.empty((0, 2), np.int64)
    pairs, counts = np.unique(np.concatenate(parts), return_counts=True)
    pairs = pairs[counts >= least]
    return np.stack([pairs >> _BITS, pairs & _PICTURES], axis=1)


def _distance(one: _Numbers, other: _Numbers) -> _Numbers:
    return np.abs((one & _LOW) - (other & _LOW))
