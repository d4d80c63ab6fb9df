"""The original's sampler, compared with its recordings and its rules."""

import json
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from mammo_core.datasets import ImageRecord, LesionMask
from mammo_core.sampling import SamplingConfig, sample_view
from mammo_core.sampling.overlap import OverlapTable

# The settings of the recorded run (sampling.json: 4 lesion centers, 3 blobs, 3 drawn centers).
RECORDED = {
    "preset": "first-generation",
    "patch_size": 56,
    "lesion_patches": 4,
    "background_patches": 6,
    "hard_negatives": 3,
    "compatible": True,
}


@pytest.fixture(scope="module")
def golden(real_data):
    folder = real_data / "original_golden"
    return json.loads((folder / "sampling.json").read_text()), np.load(folder / "sampling.npz")


def _record(arrays, number):
    image = arrays[f"sp_img_{number}"].astype(np.uint16)
    lesion = LesionMask("x", arrays[f"sp_mask_{number}"] > 0)
    return ImageRecord(f"{number:064}", image, (lesion,), *image.shape)


def _centers(view, kind):
    """Return centers like the original: (x, y) in the image padded by half a patch."""
    return [[p.column + 28, p.row + 28] for p in view.patches if p.kind == kind]


@pytest.mark.real
@pytest.mark.parametrize("number", range(4))
def test_centers_and_pixels_equal_the_recordings(golden, number):
    facts, arrays = golden
    recorded = facts[f"sp_{number}"]["centers"]
    view = sample_view(_record(arrays, number), SamplingConfig(**RECORDED), 99)
    assert view.failures == ()
    assert _centers(view, "lesion") == recorded["abn"]
    assert _centers(view, "background") == recorded["bkg"]
    stored = {name: arrays[name] for name in arrays if name.startswith(f"sp_{number}__")}
    for patch in view.patches:
        if patch.kind == "hard_negative":
            continue
        index = int(patch.patch_id[-4:])  # drawn background is numbered after the blobs
        assert patch.kind != "background" or index >= 3
        (name,) = (
            name
            for name in stored
            if name.endswith(f"_{index:04d}.png")
            and ("background" in name) == (patch.kind == "background")
        )
        assert np.array_equal(patch.pixels, stored[name])


@pytest.mark.real
@pytest.mark.parametrize("number", [0, 1, 3])
def test_blobs_equal_the_recordings(golden, number):
    """Without image 2: this OpenCV detects other blobs there than OpenCV 3.4 of the original."""
    facts, arrays = golden
    view = sample_view(_record(arrays, number), SamplingConfig(**RECORDED), 99)
    assert _centers(view, "hard_negative") == facts[f"sp_{number}"]["centers"]["blob"]


@pytest.mark.real
@pytest.mark.parametrize("number", range(4))
def test_a_single_patch_is_at_the_recorded_centroid(golden, number):
    facts, arrays = golden
    config = SamplingConfig(preset="S1", patch_size=56, background_patches=0, compatible=True)
    (patch,) = sample_view(_record(arrays, number), config, 1).patches
    expected = f"centroid= ({patch.column + 28}, {patch.row + 28})"
    assert facts[f"sp_{number}"]["centroid"][0] == expected


def _view(lesions, shape=(240, 180)):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    pixels = np.random.default_rng(0).integers(9000, 30000, shape).astype(np.uint16)
    pixels[:, 120:] = 0
    masks = tuple(
        LesionMask(f"lesion_{n}", (rows - r) ** 2 + (columns - c) ** 2 <= radius**2)
        for n, (r, c, radius) in enumerate(lesions)
    )
    return ImageRecord("a" * 64, pixels, masks, *shape)


def _config(**settings):
    return SamplingConfig(**{"patch_size": 32, "compatible": True, **settings})


def test_each_lesion_restarts_the_draws_and_background_avoids_only_the_first():
    record = _view([(60, 60, 9), (160, 80, 30)])
    view = sample_view(record, _config(background_patches=200), 1)
    background = np.array([(p.row, p.column) for p in view.patches if p.kind == "background"])
    assert len(background) == 200
    tables = [OverlapTable(lesion.mask, 32) for lesion in record.lesions]
    assert tables[0].overlap(background).max() <= 0.35 < tables[1].overlap(background).max()
    alone = sample_view(replace(record, lesions=record.lesions[1:]), _config(), 1)
    of_second = [
        [(p.row, p.column) for p in sampled.patches if p.lesion_id == "lesion_1"]
        for sampled in (view, alone)
    ]
    assert of_second[0] == of_second[1] and len(of_second[0]) == 10
    # The centers in two equal boxes differ only by the offset of the boxes.
    twins = sample_view(_view([(60, 60, 9), (160, 80, 9)]), _config(), 1)
    centers = [
        [(p.row, p.column) for p in twins.patches if p.lesion_id == name]
        for name in ("lesion_0", "lesion_1")
    ]
    assert [(r + 100, c + 20) for r, c in centers[0]] == centers[1]


def test_black_background_is_accepted():
    view = sample_view(_view([(60, 60, 9)]), _config(background_patches=100), 1)
    assert any(not p.pixels.any() for p in view.patches if p.kind == "background")


def test_the_seed_and_newer_settings_have_no_effect():
    record = _view([(60, 60, 9)])
    first = sample_view(record, _config(), 1)
    second = sample_view(record, _config(near_lesion=5, breast_share=1.0), 2)
    assert [p.to_bytes() for p in first.patches] == [p.to_bytes() for p in second.patches]


def test_the_thousandth_draw_is_tested_against_the_lower_cutoff():
    record = _view([])
    mask = np.zeros(record.pixels.shape, bool)
    mask[20:220, 40:44] = True  # 800 pixels; a patch covers at most 128 of them: 0.16
    record = replace(record, lesions=(LesionMask("long", mask),))
    view = sample_view(record, _config(background_patches=0), 1)
    # 0.9 - 15 x 0.05, subtracted step by step like in the original.
    cutoff = 0.9
    for _ in range(15):
        cutoff -= 0.05
    assert {p.cutoff for p in view.patches} == {cutoff} and len(view.patches) == 10


def test_a_lesion_that_ended_the_originals_run_is_reported():
    record = _view([])
    mask = np.zeros(record.pixels.shape, bool)
    mask[::12, ::12] = True  # a patch of 8 x 8 has one of these dots: 1 / 64
    record = replace(record, lesions=(LesionMask("dots", mask),))
    view = sample_view(record, _config(patch_size=8, lesion_overlap=0.05), 1)
    assert [item for item, _ in view.failures] == ["dots"]
    assert "ended its run" in view.failures[0][1]


def test_an_image_without_lesion_gives_nothing():
    assert sample_view(_view([]), _config(), 1).patches == ()


def test_a_lesion_that_leaves_no_room_is_reported():
    record = _view([(120, 90, 200)])
    view = sample_view(record, _config(background_patches=2, background_overlap=0.0), 1)
    assert view.failures == (("a" * 64, "0 of 2 background patches found"),)


def test_an_odd_side_is_refused():
    with pytest.raises(ValidationError, match="even patch_size"):
        SamplingConfig(patch_size=57, compatible=True)
