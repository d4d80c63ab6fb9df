"""The sliding window reproduces the original's heatmaps."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mammo_core.errors import ModelError
from mammo_core.models.heatmaps.sliding_window import original_heatmap, sliding_window, window_grid
from mammo_core.preprocessing import Geometry, Preprocessing


def stub(x: np.ndarray) -> np.ndarray:
    """The formula used instead of a network (stub_model in prob_heatmap.json)."""
    logits = np.stack([x.mean((1, 2, 3)), x.std((1, 2, 3)), x[:, 0, 0, 0]], 1) / 60
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def preprocessing_of(settings: dict) -> Preprocessing:
    scaled = settings.get("target_scale") is not None
    return Preprocessing(
        geometry=Geometry(height=1, width=1),
        mean=settings["featurewise_mean"] if settings.get("featurewise_center") else 0,
        channels=3,
        equalize=settings.get("equalize_hist", False),
        **({"intensity": "image_max"} if scaled else {"rescale_factor": 1.0}),
    )


# list0, list1 and par were recorded with these settings too (a list of two files; parallel).
LISTED = {
    "target_height": 288, "patch_size": 64, "stride": 32, "batch_size": 8,
    "target_scale": 255.0, "featurewise_center": True, "featurewise_mean": 59.6,
}  # fmt: skip


def test_the_original_heatmaps(real_data: Path):
    folder = real_data / "original_golden"
    recorded = np.load(folder / "prob_heatmap.npz")
    cases = json.loads((folder / "prob_heatmap.json").read_text())["cases"]
    cases += [
        {"file": f"{file}.png", "kw": LISTED, "out": out}
        for file, out in (
            ("P_00001_LEFT_CC", "list0"), ("P_00006_RIGHT_CC", "list1"), ("P_00001_LEFT_CC", "par"),
        )
    ]  # fmt: skip
    assert {case["out"] for case in cases} == set(recorded)
    for case in cases:
        settings = case["kw"]
        pixels = cv2.imread(str(folder / "img" / case["file"]), cv2.IMREAD_UNCHANGED)
        window = original_heatmap(
            stub,
            pixels,
            settings["target_height"],
            settings["patch_size"],
            settings["stride"],
            preprocessing_of(settings).to_network,
            settings["batch_size"],
        )
        expected = recorded[case["out"]]
        assert window.values.dtype == expected.dtype == np.float32
        np.testing.assert_allclose(window.values, expected, rtol=0, atol=1e-6)
        assert window.values.shape[:2] == (len(window.rows), len(window.columns))


@pytest.mark.parametrize(
    ("side", "patch", "stride", "starts"),
    [
        (100, 32, 16, [2, 18, 34, 50, 66]),  # 4.25 steps: 5 windows, 96 of 100 pixels
        (96, 32, 16, [8, 24, 40, 56]),  # 4 steps exactly: the last is dropped
        (1001, 1, 100, [50, 150, 250, 350, 450, 550, 650, 750, 850, 950]),
        # 9.01 steps: 9.5 is rounded away from 0, to 10 windows (to even it would be too)
        (902, 1, 100, [0, 100, 200, 300, 400, 500, 600, 700, 800, 900]),
        (802, 1, 100, [0, 100, 200, 300, 400, 500, 600, 700, 800]),  # 8.5: not to even
        (40, 40, 8, [0]),
    ],
)
def test_the_grid_of_the_original(side: int, patch: int, stride: int, starts: list[int]):
    """n = int(round((L - patch) / stride + .49)), centered (docs/original-system.md,
    "Sliding window")."""
    rows, columns = window_grid((side, side + 7), patch, stride)
    assert rows.tolist() == starts
    assert len(columns) >= len(rows)


def test_every_window_is_the_crop_at_its_coordinates():
    image = np.arange(20 * 30, dtype=np.float32).reshape(20, 30, 1)
    batches: list[np.ndarray] = []

    def corner(x: np.ndarray) -> np.ndarray:
        batches.append(x)
        return x[:, 0, 0]

    window = sliding_window(corner, image, (8, 6), (4, 5), batch_size=5)
    rows, columns = window_grid((20, 30), (8, 6), (4, 5))
    np.testing.assert_array_equal(window.values[..., 0], image[rows][:, columns, 0])
    assert {x.shape[1:] for x in batches} == {(8, 6, 1)}
    assert max(map(len, batches)) == 5
    np.testing.assert_array_equal(window.rows, rows + 3.5)
    np.testing.assert_array_equal(window.columns, columns + 2.5)


def test_windows_outside_the_image_are_rejected():
    image = np.zeros((20, 30), np.uint16)
    with pytest.raises(ModelError, match="no room for a window"):
        sliding_window(stub, image, 21, 4)
    with pytest.raises(ModelError, match="no room for a window"):
        window_grid((20, 30), 8, 0)
    with pytest.raises(ModelError, match="outside the image"):
        sliding_window(stub, image, 8, 4, starts=(np.array([13]), np.array([0])))
