"""Find the images that show the same picture, among any number of them."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mammo_core.imaging.picture_digest import Spots, likeness, spots_of, texture_of

#: Textures at least this alike are one picture. Copies reach 0.93 when 3 % of two sides is cut,
#: and 0.96 otherwise; different mammograms of the phantom stay below 0.81.
SAME_PICTURE: Final = 0.87
#: Spots with a code that more pictures share say nothing.
_COMMON: Final = 64
#: Cells by which the place of a spot may differ: 3 % of a side is cut, and 3 % for rounding.
_MOVED: Final = 8
#: Spots that two pictures share at least; among more pictures, more are shared by chance.
_SHARED: Final = 2
_MANY: Final = 20_000
_SHARED_BY_MANY: Final = 3

Pairs = npt.NDArray[np.int64]


def same_pictures(digests: Sequence[bytes]) -> list[tuple[int, int]]:
    """Return the pairs of pictures that are the same, saved or processed differently.

    Args:
        digests: As `picture_digest` returns them.

    Returns:
        (first, second) positions in `digests`, sorted, the smaller first.
    """
    digests = list(digests)
    spots = spots_of(digests)
    least = _SHARED if len(digests) <= _MANY else _SHARED_BY_MANY
    candidates = _candidates(spots, len(digests), least)
    same: list[tuple[int, int]] = []
    textures: dict[int, Any] = {}
    for first, second in candidates.tolist():
        for at in (first, second):
            if at not in textures:
                textures[at] = texture_of(digests[at])
        if likeness(textures[first], textures[second]) >= SAME_PICTURE:
            same.append((first, second))
        # Candidates are sorted: what comes before is not asked for again, except as a second.
        if len(textures) > _MANY:
            textures.clear()
    return same


def _candidates(spots: Spots, pictures: int, least: int) -> Pairs:
    """Return the pairs that share enough spots, sorted: (n, 2)."""
    order = np.lexsort((spots.picture, spots.code))
    code, picture, place = spots.code[order], spots.picture[order], spots.place[order]
    sizes = np.unique(code, return_counts=True)[1]
    rare = np.repeat((sizes > 1) & (sizes <= _COMMON), sizes)
    code, picture, place = code[rare], picture[rare], place[rare]
    found: list[Pairs] = []
    for step in range(1, _COMMON):
        if len(code) <= step:
            break
        same = (code[step:] == code[:-step]) & (picture[step:] != picture[:-step])
        at = np.flatnonzero(same)
        if not len(at) and not (code[step:] == code[:-step]).any():
            break
        near = (np.abs(place[at] - place[at + step]) <= _MOVED).all(axis=1)
        at = at[near]
        found.append(picture[at].astype(np.int64) * pictures + picture[at + step])
    if not found:
        return np.empty((0, 2), np.int64)
    keys, counts = np.unique(np.concatenate(found), return_counts=True)
    keys = keys[counts >= least]
    return np.stack([keys // pictures, keys % pictures], axis=1)
