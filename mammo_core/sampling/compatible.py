"""The sampler of the original, for comparison: the same draws, tests and bugs.

Differences from `sample_view`:

- each lesion starts again with RandomState(12345);
- background and hard negatives are sampled with the first lesion of an image, and tested
  against its mask only; an image without lesion gives none;
- background centers are uniform in the image, so black and constant patches are accepted;
- the 1000th rejected draw in a row lowers the cutoff and is tested against the lower one. At a
  cutoff of 0 the original ended its run; here the patches so far are kept, and the lesion is
  reported as a failure.

Source: docs/original-system.md, "Patch sampling" and "Known bugs".
"""

import numpy as np

from mammo_core.datasets import ImageRecord, PatchRecord
from mammo_core.sampling.blobs import blob_centers
from mammo_core.sampling.canvas import Canvas
from mammo_core.sampling.config import SamplingConfig
from mammo_core.sampling.contour import LargestContour, largest_contour
from mammo_core.sampling.overlap import Centers, OverlapTable

_SEED = 12345
_MAX_TRIES = 1000
_CUTOFF_STEP = 0.05

_Failures = list[tuple[str, str]]


def sample_as_original(
    record: ImageRecord, config: SamplingConfig
) -> tuple[list[PatchRecord], _Failures]:
    """Sample the patches of one image like the original.

    Args:
        record: The image with its lesion masks, in the order of their abnormality numbers.
        config: Settings of the sampler; `breast_share` and `near_lesion` are not used.

    Returns:
        The patches, and (lesion id or image id, reason) where there are fewer than requested.
    """
    canvas = Canvas(record.image_id, record.pixels, config.patch_size)
    patches: list[PatchRecord] = []
    failures: _Failures = []
    needs_background = config.background_patches > 0
    for lesion in record.lesions:
        contour = largest_contour(lesion.mask)
        if contour is None:
            failures.append((lesion.lesion_id, "its mask is empty at this image size"))
            continue
        table = OverlapTable(lesion.mask, config.patch_size)
        blobs = np.zeros((0, 2), np.int64)
        if needs_background:
            blobs = _blob_centers(record, table, config)
        overlaps = table.overlap(blobs)
        cutoffs = [config.background_overlap] * len(blobs)
        patches += canvas.records(blobs, "hard_negative", "", overlaps, cutoffs)
        draw = np.random.RandomState(_SEED)
        centers, cutoffs = _lesion_centers(contour, table, config, draw)
        overlaps = table.overlap(centers)
        patches += canvas.records(centers, "lesion", lesion.lesion_id, overlaps, cutoffs)
        if len(centers) < config.lesion_patches:
            failures.append((lesion.lesion_id, _failure_reason(centers, config)))
            continue
        if needs_background:
            missing = config.background_patches - len(blobs)
            centers = _background_centers(record, table, config, draw, missing)
            cutoffs = [config.background_overlap] * len(centers)
            overlaps = table.overlap(centers)
            patches += canvas.records(
                centers, "background", "", overlaps, cutoffs, start=len(blobs)
            )
            if len(centers) < missing:
                failures.append(
                    (record.image_id, f"{len(centers)} of {missing} background patches found")
                )
            needs_background = False
    return patches, failures


def _blob_centers(record: ImageRecord, table: OverlapTable, config: SamplingConfig) -> Centers:
    count = min(config.hard_negatives, config.background_patches)
    if not count:
        return np.zeros((0, 2), np.int64)
    centers = blob_centers(record.pixels, config.patch_size, margin=config.patch_size // 2)
    # Shuffling n items in place is the same as permuting their indices.
    ordered = centers[np.random.RandomState(_SEED).permutation(len(centers))]
    return ordered[table.overlap(ordered) <= config.background_overlap][:count]


def _lesion_centers(
    contour: LargestContour,
    table: OverlapTable,
    config: SamplingConfig,
    draw: np.random.RandomState,
) -> tuple[Centers, list[float]]:
    if config.lesion_patches == 1:
        return np.array([contour.centroid], np.int64), [0.0]
    centers: list[tuple[int, int]] = []
    cutoffs: list[float] = []
    cutoff, tries = config.lesion_overlap, 0
    while len(centers) < config.lesion_patches:
        column = draw.randint(contour.left, contour.left + contour.width)
        row = draw.randint(contour.top, contour.top + contour.height)
        tries += 1
        if tries >= _MAX_TRIES:
            cutoff -= _CUTOFF_STEP
            tries = 0
            if cutoff <= 0:
                break
        if table.overlap(np.array([[row, column]]))[0] > cutoff:
            centers.append((row, column))
            cutoffs.append(cutoff)
            tries = 0
    return np.array(centers, np.int64).reshape(-1, 2), cutoffs


def _background_centers(
    record: ImageRecord,
    table: OverlapTable,
    config: SamplingConfig,
    draw: np.random.RandomState,
    count: int,
) -> Centers:
    height, width = record.pixels.shape
    centers: list[tuple[int, int]] = []
    # The original never ends if a lesion leaves no room.
    for _ in range(_MAX_TRIES * count):
        if len(centers) == count:
            break
        column, row = draw.randint(0, width), draw.randint(0, height)
        if table.overlap(np.array([[row, column]]))[0] <= config.background_overlap:
            centers.append((row, column))
    return np.array(centers, np.int64).reshape(-1, 2)


def _failure_reason(centers: Centers, config: SamplingConfig) -> str:
    return (
        f"{len(centers)} of {config.lesion_patches} patches found before the cutoff reached 0, "
        "where the original ended its run"
    )
