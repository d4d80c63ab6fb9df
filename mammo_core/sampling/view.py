"""Patches of one mammogram."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mammo_core.datasets import ImageRecord, LesionMask, PatchRecord
from mammo_core.errors import RecipeError
from mammo_core.imaging import breast_mask
from mammo_core.sampling.blobs import blob_centres_of_any_number
from mammo_core.sampling.canvas import Canvas
from mammo_core.sampling.compatible import sample_as_original
from mammo_core.sampling.config import SamplingConfig
from mammo_core.sampling.overlap import Centres, OverlapTable
from mammo_core.sampling.parts import Part, largest_part
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
    by 0.05. Patches without lesion are tested against every lesion of the image, and against
    all of them together.
    Constant patches are never taken. The draws depend on the seed and the image alone.

    With `compatible` the original's choices are made instead: `sampling.compatible`.

    Args:
        record: The image with its lesion masks.
        config: The sampler's numbers.
        seed: The run's seed.
    """
    if config.compatible:
        patches, failures = sample_as_original(record, config)
    else:
        sampler = _Sampler(record, config, seed)
        patches, failures = sampler.sample(), sampler.failures
    return SampledView(tuple(sorted(patches, key=lambda patch: patch.patch_id)), tuple(failures))


class _Sampler:
    def __init__(self, record: ImageRecord, config: SamplingConfig, seed: int) -> None:
        self.record, self.config, self.seed = record, config, seed
        self.failures: list[tuple[str, str]] = []
        self.canvas = Canvas(record.image_id, record.pixels, config.patch_size)
        self.tables = [OverlapTable(one.mask, config.patch_size) for one in record.lesions]
        self.union = self._union() if len(self.tables) > 1 else None

    def _union(self) -> OverlapTable:
        union = np.zeros(self.record.pixels.shape, bool)
        for lesion in self.record.lesions:
            np.logical_or(union, lesion.mask, out=union)
        return OverlapTable(union, self.config.patch_size)

    def sample(self) -> list[PatchRecord]:
        patches: list[PatchRecord] = []
        for lesion, table in zip(self.record.lesions, self.tables, strict=True):
            part = largest_part(lesion.mask)
            if part is None:
                self._fail(lesion.lesion_id, "its mask is empty at this image size")
                continue
            patches += self._lesion(lesion, table, part)
            patches += self._near(lesion, part)
        return patches + self._without_lesion()

    def _lesion(self, lesion: LesionMask, table: OverlapTable, part: Part) -> list[PatchRecord]:
        name, wanted = lesion.lesion_id, self.config.lesion_patches
        if wanted == 1:
            centres = np.array([part.centroid], np.int64)
            centres = centres[self._first(centres, 1, self.canvas.varies)]
            cutoffs = [0.0] * len(centres)
        else:
            draw = generator(self.seed, self.record.image_id, name, "lesion")
            centres, cutoffs = self._overlapping(table, part, draw)
        if len(centres) < wanted:
            self._fail(
                name,
                f"{len(centres)} of {wanted} patches found: the others are constant, or share "
                "too little with it",
            )
        return self.canvas.records(centres, "lesion", name, table.share(centres), cutoffs)

    def _overlapping(
        self, table: OverlapTable, part: Part, draw: np.random.Generator
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
            hit = self._first(centres[hits], 1, self.canvas.varies)
            if hit:
                chosen.append(int(hits[hit[0]]))
                cutoffs.append(cutoff)
                tried = chosen[-1] + 1
            else:
                tried += _TRIES
                cutoff = round(cutoff - _RELAX, 9)
        return centres[chosen], cutoffs

    def _near(self, lesion: LesionMask, part: Part) -> list[PatchRecord]:
        wanted = self.config.near_lesion
        if not wanted:
            return []
        half = self.config.patch_size // 2
        draw = generator(self.seed, self.record.image_id, lesion.lesion_id, "near_lesion")
        low = (part.top - half, part.left - half)
        high = (part.top + part.height + half, part.left + part.width + half)
        drawn = draw.integers(low, high, (_TRIES, 2))
        centres = np.clip(drawn, 0, np.array(self.record.pixels.shape) - 1)
        chosen = self._free(centres, wanted, self.canvas.varies)
        if len(chosen) < wanted:
            self._fail(lesion.lesion_id, f"{len(chosen)} of {wanted} near-lesion patches found")
        return self._cut_free(chosen, "near_lesion", lesion.lesion_id)

    def _without_lesion(self) -> list[PatchRecord]:
        wanted, name = self.config.background_patches, self.record.image_id
        if not wanted:
            return []
        try:
            breast, box = breast_mask(self.record.pixels)
        except RecipeError:
            self._fail(name, "no breast found for background patches")
            return []
        bits = breast.view(np.uint8)
        share = self.config.breast_share * self.config.patch_size**2

        def shows_breast(row: int, column: int) -> bool:
            return self.canvas.count(bits, row, column) >= share and self.canvas.varies(row, column)

        blobs = np.zeros((0, 2), np.int64)
        if self.config.hard_negatives:
            found = self._blobs(breast, box)
            order = generator(self.seed, name, "hard_negative").permutation(len(found))
            blobs = self._free(found[order], min(self.config.hard_negatives, wanted), shows_breast)
        missing = wanted - len(blobs)
        draw = generator(self.seed, name, "background")
        background = np.zeros((0, 2), np.int64)
        for _ in range(_ROUNDS):
            if len(background) == missing:
                break
            centres = draw.integers((0, 0), self.record.pixels.shape, (_TRIES, 2))
            more = self._free(centres, missing - len(background), shows_breast)
            background = np.concatenate([background, more])
        if len(background) < missing:
            self._fail(name, f"{len(background)} of {missing} background patches found")
        return [
            *self._cut_free(blobs, "hard_negative", ""),
            *self._cut_free(background, "background", ""),
        ]

    def _blobs(self, breast: npt.NDArray[np.bool_], box: tuple[int, int, int, int]) -> Centres:
        """Blobs of the breast alone: labels of the film are bright, and no tissue."""
        left, top, width, height = box
        inside = np.s_[top : top + height, left : left + width]
        pixels = self.record.pixels[inside] * breast[inside]
        centres = blob_centres_of_any_number(pixels, self.config.patch_size)
        centres += (top, left)
        return centres

    def _free(self, centres: Centres, wanted: int, test: Callable[[int, int], bool]) -> Centres:
        """The first of the centres whose patches hold little lesion and pass a test."""
        centres = centres[self._share(centres) <= self.config.background_overlap]
        return centres[self._first(centres, wanted, test)]

    def _share(self, centres: Centres) -> npt.NDArray[np.float64]:
        """The largest share that a patch has in common with a lesion, or with all together.

        A small lesion can lie in a patch whole and be little of all lesions.
        """
        shares = np.zeros(len(centres))
        for table in [*self.tables, *([self.union] if self.union else [])]:
            np.maximum(shares, table.share(centres), out=shares)
        return shares

    @staticmethod
    def _first(centres: Centres, wanted: int, test: Callable[[int, int], bool]) -> list[int]:
        """The indices of the first of the centres whose patches pass a test."""
        found: list[int] = []
        for index in range(len(centres)):
            if len(found) == wanted:
                break
            if test(int(centres[index, 0]), int(centres[index, 1])):
                found.append(index)
        return found

    def _cut_free(self, centres: Centres, kind: str, lesion_id: str) -> list[PatchRecord]:
        cutoffs = [self.config.background_overlap] * len(centres)
        shares = self._share(centres)
        return self.canvas.records(centres, kind, lesion_id, shares, cutoffs)

    def _fail(self, item: str, reason: str) -> None:
        self.failures.append((item, reason))
