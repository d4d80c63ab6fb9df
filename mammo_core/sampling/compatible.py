"""The original's sampler, for comparison: its draws, its tests, its faults.

Source: original-system.md §3.3-3.5 and §12 (B4, B5). What differs from `sample_view`:

- every lesion draws from RandomState(12345) anew;
- background and hard negatives come with the first lesion of an image, and are tested
  against that lesion's mask alone; an image without lesion gives none;
- a background centre is uniform in the image, so that black and constant patches are taken;
- the cutoff falls with the 1000th draw in a row that was not taken, which is then tested
  against the lower one. Where it would reach 0 the original ended its run; here what was
  found before is kept and the lesion is told as a failure.
"""

import numpy as np

from mammo_core.datasets import ImageRecord, PatchRecord
from mammo_core.sampling.blobs import blob_centres
from mammo_core.sampling.canvas import Canvas
from mammo_core.sampling.config import SamplingConfig
from mammo_core.sampling.overlap import Centres, OverlapTable
from mammo_core.sampling.parts import Part, largest_part

_SEED = 12345
_TRIES = 1000
_RELAX = 0.05

_Failures = list[tuple[str, str]]


def sample_as_original(
    record: ImageRecord, config: SamplingConfig
) -> tuple[list[PatchRecord], _Failures]:
    """Sample the patches of one image as the original does.

    Args:
        record: The image with its lesion masks, in the order of their abnormality numbers.
        config: The sampler's numbers; `breast_share` and `near_lesion` are not used.

    Returns:
        The patches, and (lesion id, reason) where there are fewer than asked.
    """
    canvas = Canvas(record.image_id, record.pixels, config.patch_size)
    patches: list[PatchRecord] = []
    failures: _Failures = []
    background_due = config.background_patches > 0
    for lesion in record.lesions:
        part = largest_part(lesion.mask)
        if part is None:
            failures.append((lesion.lesion_id, "its mask is empty at this image size"))
            continue
        table = OverlapTable(lesion.mask, config.patch_size)
        blobs = _blobs(record, table, config) if background_due else np.zeros((0, 2), np.int64)
        shares = table.share(blobs)
        cutoffs = [config.background_overlap] * len(blobs)
        patches += canvas.records(blobs, "hard_negative", "", shares, cutoffs)
        draw = np.random.RandomState(_SEED)
        centres, cutoffs = _lesion(part, table, config, draw)
        shares = table.share(centres)
        patches += canvas.records(centres, "lesion", lesion.lesion_id, shares, cutoffs)
        if len(centres) < config.lesion_patches:
            failures.append((lesion.lesion_id, _told(centres, config)))
            continue
        if background_due:
            missing = config.background_patches - len(blobs)
            found = _background(record, table, config, draw, missing)
            cutoffs = [config.background_overlap] * len(found)
            shares = table.share(found)
            patches += canvas.records(found, "background", "", shares, cutoffs, start=len(blobs))
            if len(found) < missing:
                failures.append(
                    (record.image_id, f"{len(found)} of {missing} background patches found")
                )
            background_due = False
    return patches, failures


def _blobs(record: ImageRecord, table: OverlapTable, config: SamplingConfig) -> Centres:
    wanted = min(config.hard_negatives, config.background_patches)
    if not wanted:
        return np.zeros((0, 2), np.int64)
    found = blob_centres(record.pixels, config.patch_size, margin=config.patch_size // 2)
    # Any order of n things is the same shuffle of their indices.
    ordered = found[np.random.RandomState(_SEED).permutation(len(found))]
    return ordered[table.share(ordered) <= config.background_overlap][:wanted]


def _lesion(
    part: Part, table: OverlapTable, config: SamplingConfig, draw: np.random.RandomState
) -> tuple[Centres, list[float]]:
    if config.lesion_patches == 1:
        return np.array([part.centroid], np.int64), [0.0]
    centres: list[tuple[int, int]] = []
    cutoffs: list[float] = []
    cutoff, tries = config.lesion_overlap, 0
    while len(centres) < config.lesion_patches:
        column = draw.randint(part.left, part.left + part.width)
        row = draw.randint(part.top, part.top + part.height)
        tries += 1
        if tries >= _TRIES:
            cutoff -= _RELAX
            tries = 0
            if cutoff <= 0:
                break
        if table.share(np.array([[row, column]]))[0] > cutoff:
            centres.append((row, column))
            cutoffs.append(cutoff)
            tries = 0
    return np.array(centres, np.int64).reshape(-1, 2), cutoffs


def _background(
    record: ImageRecord,
    table: OverlapTable,
    config: SamplingConfig,
    draw: np.random.RandomState,
    wanted: int,
) -> Centres:
    height, width = record.pixels.shape
    centres: list[tuple[int, int]] = []
    # The original went on for ever where a lesion leaves no room.
    for _ in range(_TRIES * wanted):
        if len(centres) == wanted:
            break
        column, row = draw.randint(0, width), draw.randint(0, height)
        if table.share(np.array([[row, column]]))[0] <= config.background_overlap:
            centres.append((row, column))
    return np.array(centres, np.int64).reshape(-1, 2)


def _told(centres: Centres, config: SamplingConfig) -> str:
    return (
        f"{len(centres)} of {config.lesion_patches} patches found before the cutoff reached 0, "
        "where the original ended its run"
    )
