"""Sample the patches of one mammogram."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mammo_core.datasets import ImageRecord, LesionMask, PatchRecord
from mammo_core.errors import RecipeError
from mammo_core.imaging import breast_mask
from mammo_core.sampling.blobs import blob_centers_in_tiles
from mammo_core.sampling.canvas import Canvas
from mammo_core.sampling.compatible import sample_as_original
from mammo_core.sampling.config import SamplingConfig
from mammo_core.sampling.contour import LargestContour, largest_contour
from mammo_core.sampling.overlap import Centers, OverlapTable
from mammo_core.seeds import generator

#: After this many rejected draws in a row, the overlap cutoff is lowered by a step.
#: Source: docs/original-system.md, "Patch sampling".
_MAX_TRIES = 1000
_CUTOFF_STEP = 0.05
#: Background centers are drawn at most this often, _MAX_TRIES at a time.
_ROUNDS = 5


@dataclass(frozen=True)
class SampledView:
    """The patches of one image.

    Attributes:
        patches: The patches, sorted by id.
        failures: (lesion id or image id, reason) where there are fewer than requested.
    """

    patches: tuple[PatchRecord, ...]
    failures: tuple[tuple[str, str], ...]


def sample_view(
    record: ImageRecord,
    config: SamplingConfig,
    seed: int,
    others: Sequence[npt.NDArray[np.bool_]] = (),
) -> SampledView:
    """Sample the patches of one image.

    The centers of lesion patches are uniform in the bounding box of the lesion's largest
    contour. The patches overlap the lesion by more than `lesion_overlap`; after 1000 rejected
    draws in a row this cutoff is lowered by 0.05. Patches without lesion are tested against
    every lesion of the image, and against all of them together. Constant patches are rejected.
    The draws depend only on the seed and the image.

    With `compatible`, patches are sampled like in the original: see `sampling.compatible`.

    Args:
        record: The image with its lesion masks.
        config: Settings of the sampler.
        seed: The run's seed.
        others: `(h, w) bool` each, in the geometry of the record: lesions of the other files of
            the view. They have patches of their own there; `compatible` does not know them.
    """
    if config.compatible:
        patches, failures = sample_as_original(record, config)
    else:
        sampler = _Sampler(record, config, seed, others)
        patches, failures = sampler.sample(), sampler.failures
    return SampledView(tuple(sorted(patches, key=lambda patch: patch.patch_id)), tuple(failures))


class _Sampler:
    def __init__(
        self,
        record: ImageRecord,
        config: SamplingConfig,
        seed: int,
        others: Sequence[npt.NDArray[np.bool_]] = (),
    ) -> None:
        self.record, self.config, self.seed = record, config, seed
        self.failures: list[tuple[str, str]] = []
        self.canvas = Canvas(record.image_id, record.pixels, config.patch_size)
        self.tables = [OverlapTable(lesion.mask, config.patch_size) for lesion in record.lesions]
        # Every lesion, and all of them together.
        masks = [*(lesion.mask for lesion in record.lesions), *others]
        self.lesions = [*self.tables, *(OverlapTable(mask, config.patch_size) for mask in others)]
        if len(masks) > 1:
            union = np.logical_or.reduce(masks)
            self.lesions.append(OverlapTable(union, config.patch_size))

    def sample(self) -> list[PatchRecord]:
        patches: list[PatchRecord] = []
        for lesion, table in zip(self.record.lesions, self.tables, strict=True):
            contour = largest_contour(lesion.mask)
            if contour is None:
                self._fail(lesion.lesion_id, "its mask is empty at this image size")
                continue
            patches += self._lesion_patches(lesion, table, contour)
            patches += self._near_lesion_patches(lesion, contour)
        return patches + self._patches_without_lesion()

    def _lesion_patches(
        self, lesion: LesionMask, table: OverlapTable, contour: LargestContour
    ) -> list[PatchRecord]:
        name, count = lesion.lesion_id, self.config.lesion_patches
        if count == 1:
            centers = np.array([contour.centroid], np.int64)
            centers = centers[self._first(centers, 1, self.canvas.varies)]
            cutoffs = [0.0] * len(centers)
        else:
            draw = generator(self.seed, self.record.image_id, name, "lesion")
            centers, cutoffs = self._draw_lesion_centers(table, contour, draw)
        if len(centers) < count:
            self._fail(
                name,
                f"{len(centers)} of {count} patches found: the others are constant or overlap "
                "the lesion too little",
            )
        return self.canvas.records(centers, "lesion", name, table.overlap(centers), cutoffs)

    def _draw_lesion_centers(
        self, table: OverlapTable, contour: LargestContour, draw: np.random.Generator
    ) -> tuple[Centers, list[float]]:
        """Return the accepted draws, in order, and the cutoff that each was accepted with."""
        low = (contour.top, contour.left)
        high = (contour.top + contour.height, contour.left + contour.width)
        centers, overlaps = np.zeros((0, 2), np.int64), np.zeros(0)
        accepted: list[int] = []
        cutoffs: list[float] = []
        cutoff, tried = self.config.lesion_overlap, 0
        while len(accepted) < self.config.lesion_patches and cutoff > 0:
            if len(centers) < tried + _MAX_TRIES:
                more = draw.integers(low, high, (_MAX_TRIES, 2))
                centers = np.concatenate([centers, more])
                overlaps = np.concatenate([overlaps, table.overlap(more)])
            candidates = tried + np.flatnonzero(overlaps[tried : tried + _MAX_TRIES] > cutoff)
            first = self._first(centers[candidates], 1, self.canvas.varies)
            if first:
                accepted.append(int(candidates[first[0]]))
                cutoffs.append(cutoff)
                tried = accepted[-1] + 1
            else:
                tried += _MAX_TRIES
                cutoff = round(cutoff - _CUTOFF_STEP, 9)
        return centers[accepted], cutoffs

    def _near_lesion_patches(
        self, lesion: LesionMask, contour: LargestContour
    ) -> list[PatchRecord]:
        count = self.config.near_lesion
        if not count:
            return []
        half = self.config.patch_size // 2
        draw = generator(self.seed, self.record.image_id, lesion.lesion_id, "near_lesion")
        low = (contour.top - half, contour.left - half)
        high = (contour.top + contour.height + half, contour.left + contour.width + half)
        draws = draw.integers(low, high, (_MAX_TRIES, 2))
        in_image = np.clip(draws, 0, np.array(self.record.pixels.shape) - 1)
        centers = self._first_without_lesion(in_image, count, self.canvas.varies)
        if len(centers) < count:
            self._fail(lesion.lesion_id, f"{len(centers)} of {count} near-lesion patches found")
        return self._records_without_lesion(centers, "near_lesion", lesion.lesion_id)

    def _patches_without_lesion(self) -> list[PatchRecord]:
        """Return hard negatives and background patches."""
        count, name = self.config.background_patches, self.record.image_id
        if not count:
            return []
        try:
            breast, box = breast_mask(self.record.pixels)
        except RecipeError:
            self._fail(name, "no breast found for background patches")
            return []
        mask = breast.view(np.uint8)
        minimum = self.config.breast_share * self.config.patch_size**2

        def shows_breast(row: int, column: int) -> bool:
            pixels = self.canvas.count(mask, row, column)
            return pixels >= minimum and self.canvas.varies(row, column)

        blobs = np.zeros((0, 2), np.int64)
        if self.config.hard_negatives:
            centers = self._blob_centers(breast, box)
            order = generator(self.seed, name, "hard_negative").permutation(len(centers))
            most = min(self.config.hard_negatives, count)
            blobs = self._first_without_lesion(centers[order], most, shows_breast)
        missing = count - len(blobs)
        draw = generator(self.seed, name, "background")
        background = np.zeros((0, 2), np.int64)
        for _ in range(_ROUNDS):
            if len(background) == missing:
                break
            centers = draw.integers((0, 0), self.record.pixels.shape, (_MAX_TRIES, 2))
            more = self._first_without_lesion(centers, missing - len(background), shows_breast)
            background = np.concatenate([background, more])
        if len(background) < missing:
            self._fail(name, f"{len(background)} of {missing} background patches found")
        return [
            *self._records_without_lesion(blobs, "hard_negative", ""),
            *self._records_without_lesion(background, "background", ""),
        ]

    def _blob_centers(
        self, breast: npt.NDArray[np.bool_], box: tuple[int, int, int, int]
    ) -> Centers:
        """Return the centers of blobs in the breast; bright labels on the film are not tissue."""
        left, top, width, height = box
        inside = np.s_[top : top + height, left : left + width]
        pixels = self.record.pixels[inside] * breast[inside]
        centers = blob_centers_in_tiles(pixels, self.config.patch_size)
        centers += (top, left)
        return centers

    def _first_without_lesion(
        self, centers: Centers, count: int, test: Callable[[int, int], bool]
    ) -> Centers:
        """Return the first centers whose patches have little lesion and pass a test."""
        centers = centers[self._largest_overlap(centers) <= self.config.background_overlap]
        return centers[self._first(centers, count, test)]

    def _largest_overlap(self, centers: Centers) -> npt.NDArray[np.float64]:
        """Return the largest overlap of each patch with a lesion, or with all of them together.

        A small lesion can be completely in a patch and still be a small part of all lesions.
        """
        overlaps = np.zeros(len(centers))
        for table in self.lesions:
            np.maximum(overlaps, table.overlap(centers), out=overlaps)
        return overlaps

    @staticmethod
    def _first(centers: Centers, count: int, test: Callable[[int, int], bool]) -> list[int]:
        """Return the indices of the first `count` centers that pass a test."""
        indices: list[int] = []
        for index in range(len(centers)):
            if len(indices) == count:
                break
            if test(int(centers[index, 0]), int(centers[index, 1])):
                indices.append(index)
        return indices

    def _records_without_lesion(
        self, centers: Centers, kind: str, lesion_id: str
    ) -> list[PatchRecord]:
        cutoffs = [self.config.background_overlap] * len(centers)
        overlaps = self._largest_overlap(centers)
        return self.canvas.records(centers, kind, lesion_id, overlaps, cutoffs)

    def _fail(self, item: str, reason: str) -> None:
        self.failures.append((item, reason))
