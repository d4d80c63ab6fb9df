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
    more than `lesion_overlap` with it; patches without lesion are tested against all lesions
    of the image together. Constant patches are never taken. The draws depend on the seed and
    the image alone.

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
        half = config.patch_size // 2
        self.padded = np.pad(record.pixels, half + config.patch_size % 2)
        self.offset = half + config.patch_size % 2
        union = np.zeros(record.pixels.shape, bool)
        for lesion in record.lesions:
            union |= lesion.mask
        self.all_lesions = OverlapTable(union, config.patch_size)

    def lesion(self, lesion: LesionMask) -> Iterator[PatchRecord]:
        box = _largest_box(lesion.mask)
        if box is None:
            self._fail(lesion.lesion_id, "its mask is empty at this image size")
            return
        top, left, height, width = box
        table = OverlapTable(lesion.mask, self.config.patch_size)
        wanted = self.config.lesion_patches
        if wanted == 1:
            rows, columns = np.nonzero(lesion.mask)
            centre = np.array([[round(rows.mean()), round(columns.mean())]])
            share = float(table.share(centre)[0])
            yield from self._cut(centre, "lesion", lesion.lesion_id, [share], 0.0)
            return
        draw = generator(self.seed, self.record.image_id, lesion.lesion_id, "lesion")
        cutoff, found = self.config.lesion_overlap, 0
        while found < wanted:
            centres = np.stack(
                [
                    draw.integers(top, top + height, _TRIES),
                    draw.integers(left, left + width, _TRIES),
                ],
                axis=1,
            )
            shares = table.share(centres)
            hits = np.flatnonzero((shares > cutoff) & self._varied(centres, shares > cutoff))
            if not len(hits):
                cutoff -= _RELAX
                if cutoff <= 0:
                    self._fail(
                        lesion.lesion_id,
                        f"{found} of {wanted} patches found: none shares enough with it",
                    )
                    return
                continue
            first = hits[:1]
            yield from self._cut(
                centres[first], "lesion", lesion.lesion_id, shares[first], cutoff, found
            )
            found += 1

    def near(self, lesion: LesionMask) -> Iterator[PatchRecord]:
        wanted = self.config.near_lesion
        box = _largest_box(lesion.mask) if wanted else None
        if box is None:
            return
        top, left, height, width = box
        half = self.config.patch_size // 2
        draw = generator(self.seed, self.record.image_id, lesion.lesion_id, "near_lesion")
        rows, columns = self.record.pixels.shape
        centres = np.stack(
            [
                np.clip(draw.integers(top - half, top + height + half, _TRIES), 0, rows - 1),
                np.clip(draw.integers(left - half, left + width + half, _TRIES), 0, columns - 1),
            ],
            axis=1,
        )
        chosen = self._free(centres)[:wanted]
        yield from self._cut(chosen, "near_lesion", lesion.lesion_id, self._shares(chosen), 0.0)

    def without_lesion(self) -> Iterator[PatchRecord]:
        wanted = self.config.background_patches
        if not wanted:
            return
        name = self.record.image_id
        blobs = self._free(
            blob_centres(
                self.record.pixels,
                self.config.patch_size,
                generator(self.seed, name, "hard_negative"),
            )
            if self.config.hard_negatives
            else np.zeros((0, 2), np.int64)
        )[: min(self.config.hard_negatives, wanted)]
        yield from self._cut(blobs, "hard_negative", "", self._shares(blobs), 0.0)
        try:
            breast, _ = breast_mask(self.record.pixels)
        except RecipeError:
            self._fail(name, "no breast found for background patches")
            return
        table = OverlapTable(breast, self.config.patch_size)
        draw = generator(self.seed, name, "background")
        rows, columns = self.record.pixels.shape
        found = np.zeros((0, 2), np.int64)
        missing = wanted - len(blobs)
        for _ in range(5):
            centres = np.stack(
                [draw.integers(0, rows, _TRIES), draw.integers(0, columns, _TRIES)], axis=1
            )
            share = table.covered(centres) / self.config.patch_size**2
            found = np.concatenate([found, self._free(centres[share >= self.config.breast_share])])
            if len(found) >= missing:
                break
        else:
            self._fail(name, f"{len(found)} of {missing} background patches found")
        chosen = found[:missing]
        yield from self._cut(chosen, "background", "", self._shares(chosen), 0.0)

    def _free(self, centres: Centres) -> Centres:
        """Those of the centres whose patches hold little lesion and are not constant."""
        free = self._shares(centres) <= self.config.background_overlap
        return centres[free & self._varied(centres, free)]

    def _shares(self, centres: Centres) -> npt.NDArray[np.float64]:
        return self.all_lesions.share(centres)

    def _varied(self, centres: Centres, asked: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        result = np.zeros(len(centres), bool)
        for index in np.flatnonzero(asked)[:200]:
            patch = self._patch(*centres[index])
            result[index] = patch.min() != patch.max()
        return result

    def _patch(self, row: int, column: int) -> npt.NDArray[np.uint16]:
        side = self.config.patch_size
        top, left = row + self.offset - side // 2, column + self.offset - side // 2
        return self.padded[top : top + side, left : left + side]

    def _cut(
        self,
        centres: Centres,
        kind: str,
        lesion_id: str,
        shares: npt.NDArray[np.float64] | list[float],
        cutoff: float,
        start: int = 0,
    ) -> Iterator[PatchRecord]:
        what = f"{lesion_id}-{kind}" if lesion_id else kind
        for index, (centre, share) in enumerate(zip(centres, shares, strict=True), start):
            yield PatchRecord(
                patch_id=f"{self.record.image_id[:20]}-{what}-{index:04d}",
                image_id=self.record.image_id,
                lesion_id=lesion_id,
                kind=kind,
                pixels=self._patch(int(centre[0]), int(centre[1])).copy(),
                row=int(centre[0]),
                column=int(centre[1]),
                overlap=float(share),
                cutoff=float(cutoff),
            )

    def _fail(self, item: str, reason: str) -> None:
        self.failures.append((item, reason))


def _largest_box(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """The box (top, left, height, width) of the mask's largest contour."""
    import cv2

    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return None
    left, top, width, height = cv2.boundingRect(max(contours, key=cv2.contourArea))
    return top, left, height, width
