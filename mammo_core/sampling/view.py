"""Patches of one mammogram."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mammo_core.datasets import ImageRecord, LesionMask, PatchRecord
from mammo_core.errors import RecipeError
from mammo_core.imaging import breast_mask
from mammo_core.sampling.blobs import blob_centres
from mammo_core.sampling.config import SamplingConfig
from mammo_core.sampling.overlap import Centres, OverlapTable
from mammo_core.seeds import generator

# original-system.md §3.4: after so many failures in a row the cutoff falls by a step.
_TRIES = 1000
_RELAX = 0.05
#: Background centres are drawn so many times _TRIES before an image is found to have no room.
_ROUNDS = 5


@dataclass(frozen=True)
class SampledView:
    """What was sampled from one image.

    Attributes:
        patches: The patches, sorted by id.
        failures: (lesion id or image id, reason) where fewer patches were found than asked.
    """

    patches: tuple[PatchRecord, ...]
    failures: tuple[tuple[str, str], ...]


def sample_view(record: ImageRecord, config: SamplingConfig, seed: int) -> SampledView:
    """Sample the patches of one image.

    Lesion patches have centres uniform in the box of the lesion's largest part and share
    more than `lesion_overlap` with the lesion; after 1000 failures in a row that cutoff falls
    by 0.05. Patches without lesion are tested against all lesions of the image together.
    Constant patches are never taken. The draws depend on the seed and the image alone.

    Args:
        record: The image with its lesion masks.
        config: The sampler's numbers.
        seed: The run's seed.
    """
    sampler = _Sampler(record, config, seed)
    patches: list[PatchRecord] = []
    for lesion in record.lesions:
        patches += sampler.lesion(lesion)
        patches += sampler.near(lesion)
    patches += sampler.without_lesion()
    return SampledView(
        tuple(sorted(patches, key=lambda patch: patch.patch_id)), tuple(sampler.failures)
    )


class _Sampler:
    def __init__(self, record: ImageRecord, config: SamplingConfig, seed: int) -> None:
        self.record, self.config, self.seed = record, config, seed
        self.failures: list[tuple[str, str]] = []
        self.offset = config.patch_size // 2 + config.patch_size % 2
        self.padded = np.pad(record.pixels, self.offset)
        union = np.zeros(record.pixels.shape, bool)
        for lesion in record.lesions:
            union |= lesion.mask
        self.all_lesions = OverlapTable(union, config.patch_size)

    def lesion(self, lesion: LesionMask) -> Iterator[PatchRecord]:
        name, wanted = lesion.lesion_id, self.config.lesion_patches
        part = _largest_part(lesion.mask)
        if part is None:
            self._fail(name, "its mask is empty at this image size")
            return
        table = OverlapTable(lesion.mask, self.config.patch_size)
        if wanted == 1:
            centres = np.array([part.centroid], np.int64)
            found = self._varied(centres, np.array([0]), 1)
            cutoffs = [0.0] * len(found)
        else:
            draw = generator(self.seed, self.record.image_id, name, "lesion")
            centres, cutoffs = self._overlapping(table, part, draw)
            found = list(range(len(centres)))
        if len(found) < wanted:
            self._fail(
                name,
                f"{len(found)} of {wanted} patches found: the others are constant, or share "
                "too little with it",
            )
        chosen = centres[found]
        yield from self._cut(chosen, "lesion", name, table.share(chosen), cutoffs)

    def _overlapping(
        self, table: OverlapTable, part: "_Part", draw: np.random.Generator
    ) -> tuple[Centres, list[float]]:
        """Take draws in their order; every 1000th failure in a row lowers the cutoff."""
        low, high = (part.top, part.left), (part.top + part.height, part.left + part.width)
        centres, shares = np.zeros((0, 2), np.int64), np.zeros(0)
        chosen: list[int] = []
        cutoffs: list[float] = []
        cutoff, tried = self.config.lesion_overlap, 0
        while len(chosen) < self.config.lesion_patches and cutoff > 0:
            if len(centres) < tried + _TRIES:
                more = draw.integers(low, high, (_TRIES, 2))
                centres = np.concatenate([centres, more])
                shares = np.concatenate([shares, table.share(more)])
            hits = tried + np.flatnonzero(shares[tried : tried + _TRIES] > cutoff)
            hit = self._varied(centres, hits, 1)
            if hit:
                chosen += hit
                cutoffs.append(cutoff)
                tried = hit[0] + 1
            else:
                tried += _TRIES
                cutoff = round(cutoff - _RELAX, 9)
        return centres[chosen], cutoffs

    def near(self, lesion: LesionMask) -> Iterator[PatchRecord]:
        wanted = self.config.near_lesion
        part = _largest_part(lesion.mask) if wanted else None
        if part is None:
            return
        half = self.config.patch_size // 2
        draw = generator(self.seed, self.record.image_id, lesion.lesion_id, "near_lesion")
        low = (part.top - half, part.left - half)
        high = (part.top + part.height + half, part.left + part.width + half)
        drawn = draw.integers(low, high, (_TRIES, 2))
        centres = np.clip(drawn, 0, np.array(self.record.pixels.shape) - 1)
        chosen = self._free(centres, wanted)
        if len(chosen) < wanted:
            self._fail(lesion.lesion_id, f"{len(chosen)} of {wanted} near-lesion patches found")
        yield from self._cut_free(chosen, "near_lesion", lesion.lesion_id)

    def without_lesion(self) -> Iterator[PatchRecord]:
        wanted = self.config.background_patches
        if not wanted:
            return
        name, side = self.record.image_id, self.config.patch_size
        blobs = np.zeros((0, 2), np.int64)
        if self.config.hard_negatives:
            order = generator(self.seed, name, "hard_negative")
            centres = blob_centres(self.record.pixels, side, order)
            blobs = self._free(centres, min(self.config.hard_negatives, wanted))
        yield from self._cut_free(blobs, "hard_negative", "")
        missing = wanted - len(blobs)
        try:
            breast, _ = breast_mask(self.record.pixels)
        except RecipeError:
            self._fail(name, "no breast found for background patches")
            return
        table = OverlapTable(breast, side)
        draw = generator(self.seed, name, "background")
        found = np.zeros((0, 2), np.int64)
        for _ in range(_ROUNDS):
            if len(found) == missing:
                break
            centres = draw.integers((0, 0), self.record.pixels.shape, (_TRIES, 2))
            inside = table.covered(centres) >= self.config.breast_share * side**2
            found = np.concatenate([found, self._free(centres[inside], missing - len(found))])
        if len(found) < missing:
            self._fail(name, f"{len(found)} of {missing} background patches found")
        yield from self._cut_free(found, "background", "")

    def _free(self, centres: Centres, wanted: int) -> Centres:
        """The first of the centres whose patches hold little lesion and are not constant."""
        free = self.all_lesions.share(centres) <= self.config.background_overlap
        return centres[self._varied(centres, np.flatnonzero(free), wanted)]

    def _varied(self, centres: Centres, asked: npt.NDArray[np.int64], wanted: int) -> list[int]:
        """The first of the indices asked whose patches are not constant."""
        found: list[int] = []
        for index in asked:
            if len(found) == wanted:
                break
            patch = self._patch(*centres[index])
            if patch.min() != patch.max():
                found.append(int(index))
        return found

    def _patch(self, row: int, column: int) -> npt.NDArray[np.uint16]:
        side = self.config.patch_size
        top, left = row + self.offset - side // 2, column + self.offset - side // 2
        return self.padded[top : top + side, left : left + side]

    def _cut_free(self, centres: Centres, kind: str, lesion_id: str) -> Iterator[PatchRecord]:
        cutoffs = [self.config.background_overlap] * len(centres)
        yield from self._cut(centres, kind, lesion_id, self.all_lesions.share(centres), cutoffs)

    def _cut(
        self,
        centres: Centres,
        kind: str,
        lesion_id: str,
        shares: npt.NDArray[np.float64],
        cutoffs: list[float],
    ) -> Iterator[PatchRecord]:
        what = f"{lesion_id}-{kind}" if lesion_id else kind
        rows = zip(centres.tolist(), shares.tolist(), cutoffs, strict=True)
        for index, ((row, column), share, cutoff) in enumerate(rows):
            yield PatchRecord(
                patch_id=f"{self.record.image_id[:20]}-{what}-{index:04d}",
                image_id=self.record.image_id,
                lesion_id=lesion_id,
                kind=kind,
                pixels=self._patch(row, column).copy(),
                row=row,
                column=column,
                overlap=share,
                cutoff=cutoff,
            )

    def _fail(self, item: str, reason: str) -> None:
        self.failures.append((item, reason))


@dataclass(frozen=True)
class _Part:
    """The largest part of a mask: its box and centroid (row, column), in pixels."""

    top: int
    left: int
    height: int
    width: int
    centroid: tuple[int, int]


def _largest_part(mask: npt.NDArray[np.bool_]) -> _Part | None:
    """Find a mask's contour of the largest area; None when the mask is empty."""
    import cv2

    bits = np.ascontiguousarray(mask).view(np.uint8)
    contours, _ = cv2.findContours(bits, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return None
    largest = max(contours, key=cv2.contourArea)
    left, top, width, height = cv2.boundingRect(largest)
    moments = cv2.moments(largest)
    if moments["m00"]:
        # Cut, not rounded, as the original does.
        centroid = (
            int(moments["m01"] / moments["m00"]),
            int(moments["m10"] / moments["m00"]),
        )
    else:
        centroid = (top + height // 2, left + width // 2)
    return _Part(top, left, height, width, centroid)
