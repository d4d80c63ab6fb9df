"""The patches of one image."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from mammo_core.datasets import ImageRecord, LesionMask
from mammo_core.sampling import PRESETS, SamplingConfig, sample_view
from mammo_core.sampling.blobs import blob_centers
from mammo_core.sampling.contour import largest_contour
from mammo_core.sampling.overlap import OverlapTable
from mammo_core.seeds import generator

NONE = {"lesion_patches": 1, "background_patches": 0}


def disc(shape, row, column, radius):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def image(image_id="a" * 64, shape=(240, 180), lesions=((120, 60, 12),), seed=0):
    """A breast on the left half of a black film, with lesions (row, column, radius)."""
    random = np.random.default_rng(seed)
    breast = disc(shape, shape[0] // 2, 0, shape[1] * 3 // 4)
    pixels = np.where(breast, random.integers(9000, 30000, shape), 0).astype(np.uint16)
    masks = []
    for number, lesion in enumerate(lesions):
        mask = disc(shape, *lesion)
        pixels[mask] += 20000
        masks.append(LesionMask(f"lesion_{number}", mask))
    return ImageRecord(image_id, pixels, tuple(masks), *shape)


def config(**numbers):
    return SamplingConfig(**{"patch_size": 32, "preset": "S10", **numbers})


def kinds(view):
    return [patch.kind for patch in view.patches]


def test_every_patch_is_at_its_row_and_column():
    record = image(lesions=((120, 60, 12), (60, 30, 9)))
    view = sample_view(record, config(near_lesion=4, hard_negatives=3), 7)
    assert view.failures == ()
    padded = np.pad(record.pixels, 16)
    for patch in view.patches:
        expected = padded[patch.row : patch.row + 32, patch.column : patch.column + 32]
        assert np.array_equal(patch.pixels, expected)
        assert patch.image_id == record.image_id and patch.pixels.dtype == np.uint16
    ids = [patch.patch_id for patch in view.patches]
    assert ids == sorted(set(ids))


def test_numbers_and_overlaps_are_as_configured():
    record = image(lesions=((120, 60, 12), (60, 30, 9)))
    settings = config(near_lesion=4, hard_negatives=3, background_patches=12)
    view = sample_view(record, settings, 7)
    names = kinds(view)
    assert names.count("lesion") == 20 and names.count("near_lesion") == 8
    assert names.count("hard_negative") <= 3
    assert names.count("hard_negative") + names.count("background") == 12
    union = OverlapTable(record.lesions[0].mask | record.lesions[1].mask, 32)
    tables = [union, *(OverlapTable(lesion.mask, 32) for lesion in record.lesions)]
    for patch in view.patches:
        center = np.array([[patch.row, patch.column]])
        if patch.kind == "lesion":
            mask = record.lesions[int(patch.lesion_id[-1])].mask
            assert patch.overlap == OverlapTable(mask, 32).overlap(center)[0] > patch.cutoff
            assert patch.cutoff == 0.9
        else:
            overlaps = [table.overlap(center)[0] for table in tables]
            assert patch.overlap == max(overlaps) <= patch.cutoff == 0.35
            # As a fraction of all lesions together, and of the patch.
            covered = union.covered(center)[0]
            assert covered / 32**2 <= 0.35 and covered / union.area <= 0.35


def test_background_is_free_of_every_lesion():
    # The original tests only the current lesion (docs/original-system.md, "Known bugs").
    lesions = tuple((row, column, 10) for row in (80, 120, 160) for column in (25, 70))
    record = image(lesions=lesions)
    view = sample_view(record, config(background_patches=60, background_overlap=0.0), 1)
    union = np.logical_or.reduce([lesion.mask for lesion in record.lesions])
    table = OverlapTable(union, 32)
    background = [patch for patch in view.patches if patch.kind == "background"]
    assert len(background) == 60
    for patch in background:
        assert table.covered(np.array([[patch.row, patch.column]]))[0] == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_small_lesion_next_to_large_ones_is_tested(seed):
    # 28 pixels: all of it in a patch is a hundredth of all lesions together.
    record = image(lesions=((70, 50, 30), (170, 50, 30), (120, 60, 3)), seed=seed)
    settings = config(background_patches=150, near_lesion=30, hard_negatives=10)
    view = sample_view(record, settings, seed)
    free = [patch for patch in view.patches if patch.kind != "lesion"]
    assert len(free) >= 150
    for lesion in record.lesions:
        table = OverlapTable(lesion.mask, 32)
        centers = np.array([[patch.row, patch.column] for patch in free])
        assert table.overlap(centers).max() <= 0.35


@pytest.mark.parametrize("minimum", [0.0, 0.5, 0.9])
def test_background_shows_breast(minimum):
    record = image(lesions=())
    view = sample_view(record, config(background_patches=40, breast_share=minimum), 3)
    fractions = [np.count_nonzero(patch.pixels) / 32**2 for patch in view.patches]
    assert len(fractions) == 40 and min(fractions) >= minimum
    if minimum == 0.0:
        assert min(fractions) < 0.5  # patches outside the breast are accepted


def test_draws_depend_only_on_seed_and_image():
    record, other = image(), image("b" * 64)
    first = sample_view(record, config(), 1)
    sample_view(other, config(), 1)
    again = sample_view(record, config(), 1)
    assert [p.to_bytes() for p in first.patches] == [p.to_bytes() for p in again.patches]
    centers = {
        tuple((p.row, p.column) for p in view.patches)
        for view in (first, sample_view(record, config(), 2), sample_view(other, config(), 1))
    }
    assert len(centers) == 3


def test_a_lesions_draws_do_not_depend_on_the_other_lesions():
    both = image(lesions=((120, 60, 12), (60, 30, 9)))
    alone = replace(both, lesions=both.lesions[1:])
    centers = [
        [(p.row, p.column) for p in sample_view(r, config(), 1).patches if p.lesion_id[-1:] == "1"]
        for r in (both, alone)
    ]
    assert centers[0] == centers[1] and len(centers[0]) == 10


def test_ten_patches_are_the_first_ten_of_thirty():
    centers = [
        [
            (p.row, p.column)
            for p in sample_view(image(), config(lesion_patches=n), 1).patches
            if p.kind == "lesion"
        ]
        for n in (10, 30)
    ]
    assert centers[1][:10] == centers[0]


def test_the_cutoff_is_lowered_in_steps_for_a_long_lesion():
    record = image()
    mask = np.zeros(record.pixels.shape, bool)
    mask[20:220, 40:44] = True  # 800 pixels; a patch covers 128 of them: 0.16
    record = replace(record, lesions=(LesionMask("long", mask),))
    view = sample_view(record, config(background_patches=0), 1)
    assert kinds(view) == ["lesion"] * 10 and view.failures == ()
    # 0.9 - 15 x 0.05: the first step below 0.16.
    assert {patch.cutoff for patch in view.patches} == {0.15}
    assert all(patch.overlap > 0.15 for patch in view.patches)


def _loop(record, settings, seed):
    """The plain loop, draw by draw (docs/original-system.md, "Patch sampling"), on our draws."""
    (lesion,) = record.lesions
    contour = largest_contour(lesion.mask)
    draw = generator(seed, record.image_id, lesion.lesion_id, "lesion")
    high = (contour.top + contour.height, contour.left + contour.width)
    draws = (
        center
        for _ in range(200)
        for center in draw.integers((contour.top, contour.left), high, (1000, 2))
    )
    table = OverlapTable(lesion.mask, settings.patch_size)
    padded = np.pad(record.pixels, settings.patch_size)
    accepted, cutoff, failures = [], settings.lesion_overlap, 0
    for row, column in draws:
        rows, columns = (
            slice(start + settings.patch_size // 2, start + settings.patch_size // 2 + 32)
            for start in (row, column)
        )
        constant = np.ptp(padded[rows, columns]) == 0
        if table.overlap(np.array([[row, column]]))[0] > cutoff and not constant:
            accepted.append((row, column, cutoff))
            failures = 0
        else:
            failures += 1
        if failures == 1000:
            cutoff, failures = round(cutoff - 0.05, 9), 0
        if len(accepted) == settings.lesion_patches or cutoff <= 0:
            return sorted(accepted)
    return None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("overlap", [0.9, 0.42])
def test_lesion_patches_equal_those_of_the_plain_loop(seed, overlap):
    record = image()
    mask = disc(record.pixels.shape, 60, 40, 9)
    mask[60:200, 40] = mask[199, 40:130] = True  # a wide box with most of the area in a corner
    record = replace(record, lesions=(LesionMask("x", mask),))
    settings = config(background_patches=0, lesion_patches=25, lesion_overlap=overlap)
    view = sample_view(record, settings, seed)
    patches = sorted((p.row, p.column, p.cutoff) for p in view.patches)
    assert patches == _loop(record, settings, seed) and len(patches) == 25
    assert min(p.cutoff for p in view.patches) < overlap or overlap == 0.42


def test_an_empty_mask_fails_only_that_lesion():
    record = image()
    empty = LesionMask("empty", np.zeros(record.pixels.shape, bool))
    view = sample_view(replace(record, lesions=(empty, *record.lesions)), config(), 1)
    assert [item for item, _ in view.failures] == ["empty"]
    assert kinds(view).count("lesion") == 10 and kinds(view).count("background") == 10


@pytest.mark.parametrize("preset", ["S1", "S10"])
def test_constant_patches_are_rejected(preset):
    shape = (240, 180)
    pixels = np.zeros(shape, np.uint16)
    pixels[:, :90] = 30000  # a flat breast: only patches at its edge vary
    flat = LesionMask("flat", disc(shape, 120, 40, 10))
    edge = LesionMask("edge", disc(shape, 120, 90, 10))
    record = ImageRecord("c" * 64, pixels, (edge, flat), *shape)
    view = sample_view(record, config(preset=preset, near_lesion=3, hard_negatives=5), 1)
    assert all(patch.pixels.min() < patch.pixels.max() for patch in view.patches)
    assert {patch.lesion_id for patch in view.patches if patch.kind == "lesion"} == {"edge"}
    assert "flat" in {item for item, _ in view.failures}


def test_a_black_image_has_no_background():
    record = ImageRecord("d" * 64, np.zeros((100, 80), np.uint16), (), 100, 80)
    view = sample_view(record, config(hard_negatives=2), 1)
    assert view.patches == ()
    assert view.failures == (("d" * 64, "no breast found for background patches"),)


@pytest.mark.parametrize("side", [8, 9, 31, 33, 57])
def test_patches_of_any_side(side):
    record = image(lesions=((2, 2, 8), (120, 60, 12)))  # one in the corner
    view = sample_view(record, config(patch_size=side), 5)
    padded = np.pad(record.pixels, side)
    assert kinds(view).count("lesion") == 20
    for patch in view.patches:
        top, left = patch.row + side - side // 2, patch.column + side - side // 2
        assert patch.pixels.shape == (side, side)
        assert np.array_equal(patch.pixels, padded[top : top + side, left : left + side])


@pytest.mark.parametrize("shape", [(20, 16), (240, 20), (20, 240)])
def test_an_image_smaller_than_a_patch(shape):
    random = np.random.default_rng(0)
    pixels = random.integers(9000, 30000, shape).astype(np.uint16)
    lesion = LesionMask("x", disc(shape, 10, 8, 4))
    view = sample_view(
        ImageRecord("e" * 64, pixels, (lesion,), *shape), config(patch_size=64, near_lesion=2), 1
    )
    assert kinds(view).count("lesion") == 10
    assert all(patch.pixels.shape == (64, 64) for patch in view.patches)
    # No patch is half breast: this is reported.
    assert kinds(view).count("background") == 0
    assert ("e" * 64, "0 of 10 background patches found") in view.failures


def test_near_lesion_patches_are_around_the_lesion():
    view = sample_view(image(), config(near_lesion=8, **NONE), 2)
    near = [patch for patch in view.patches if patch.kind == "near_lesion"]
    assert len(near) == 8 and {patch.lesion_id for patch in near} == {"lesion_0"}
    # The bounding box of the lesion, enlarged by half a patch.
    for patch in near:
        assert 108 - 16 <= patch.row <= 132 + 16 and 48 - 16 <= patch.column <= 72 + 16


def test_too_few_near_lesion_patches_are_reported():
    record = image(lesions=((120, 60, 55),))
    view = sample_view(record, config(near_lesion=900, background_overlap=0.0, **NONE), 1)
    assert view.failures[0][0] == "lesion_0" and "of 900 near-lesion" in view.failures[0][1]


def test_bright_spots_are_hard_negatives():
    shape = (240, 180)
    pixels = np.random.default_rng(0).integers(9000, 12000, shape).astype(np.uint16)
    spots = [(60, 60), (180, 120), (120, 40)]
    for row, column in spots:
        pixels[disc(shape, row, column, 6)] = 60000
    record = ImageRecord("f" * 64, pixels, (LesionMask("x", disc(shape, 120, 40, 8)),), *shape)
    view = sample_view(record, config(hard_negatives=5), 1)
    hard = sorted((p.row, p.column) for p in view.patches if p.kind == "hard_negative")
    # The third spot is the lesion itself.
    assert np.abs(np.array(hard) - spots[:2]).max() <= 1
    assert kinds(view).count("background") == 10 - len(hard)


def test_many_spots_are_searched_in_tiles(monkeypatch):
    from mammo_core.sampling import blobs

    shape = (1300, 700)
    pixels = np.random.default_rng(0).integers(9000, 12000, shape).astype(np.uint16)
    spots = [(r, c) for r in range(40, 1300, 60) for c in range(30, 700, 55)]
    for row, column in spots:
        pixels[disc(shape, row, column, 5)] = 60000
    expected = sorted(map(tuple, blobs.blob_centers(pixels, 64).tolist()))
    assert len(expected) == len(spots)
    assert sorted(map(tuple, blobs.blob_centers_in_tiles(pixels, 64).tolist())) == expected
    monkeypatch.setattr(blobs, "_MAX_SPOTS", 10)
    assert sorted(map(tuple, blobs.blob_centers_in_tiles(pixels, 64).tolist())) == expected


def test_hard_negatives_never_exceed_the_background_patches():
    view = sample_view(image(), config(hard_negatives=15, background_patches=2), 1)
    assert kinds(view).count("hard_negative") + kinds(view).count("background") == 2


@pytest.mark.real
@pytest.mark.parametrize("number", range(4))
def test_blobs_are_near_those_of_the_original(real_data, number):
    """On inputs of the original; its points depend on the version of OpenCV."""
    arrays = np.load(real_data / "original_golden" / "sampling.npz")
    pixels = arrays[f"blob_in_{number}"].astype(np.uint16) * 257
    ours = blob_centers(pixels, 56)
    assert len(ours) > 0
    assert (ours >= 0).all() and (ours < pixels.shape).all()
    # Most points of the original are near one of ours.
    theirs = arrays[f"blob_kp_{number}"][:, 1::-1]
    distances = np.abs(theirs[:, None, :] - ours[None, :, :]).max(axis=2).min(axis=1)
    assert np.mean(distances <= 8) > 0.5


def test_presets_provide_the_defaults():
    assert SamplingConfig(preset="S30").lesion_patches == 30
    assert SamplingConfig(preset="S30", lesion_patches=2).lesion_patches == 2
    first = SamplingConfig(preset="first-generation")
    assert (first.patch_size, first.hard_negatives, first.lesion_overlap) == (256, 15, 0.75)
    # Defaults of the paper's sets (Shen et al. 2019, Methods): 224 at 1152x896, 0.9.
    assert (SamplingConfig().patch_size, SamplingConfig().lesion_overlap) == (224, 0.9)
    assert set(PRESETS) == {"S1", "S10", "S30", "first-generation"}


@pytest.mark.parametrize(
    "numbers",
    [{"preset": "S2"}, {"patch_size": 4}, {"lesion_overlap": 0}, {"breast_share": 2}, {"x": 1}],
)
def test_settings_out_of_range_are_refused(numbers):
    with pytest.raises(ValidationError):
        SamplingConfig(**numbers)
