import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mammo_core.phantom import PhantomConfig, ViewPlan, draw_view, plan_views
from mammo_core.phantom.draw import draw_scene
from mammo_core.phantom.film import to_stored
from mammo_core.phantom.latent import appearance
from mammo_core.phantom.lesions import draw_lesion
from mammo_core.seeds import generator

CONFIG = PhantomConfig(patients=12, seed=1, height=288, width=224)


@pytest.fixture(scope="module")
def views() -> list[ViewPlan]:
    return plan_views(CONFIG)


def test_a_view_is_drawn_the_same_twice(views: list[ViewPlan]) -> None:
    first, second = draw_view(CONFIG, views[0]), draw_view(CONFIG, views[0])
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert first.pixels.dtype == np.uint16 and first.pixels.shape == (288, 224)


def test_the_breast_is_at_its_side_on_a_dark_background(views: list[ViewPlan]) -> None:
    for plan in views:
        pixels = draw_view(CONFIG, plan).pixels / 65535
        upright = pixels[:, ::-1] if plan.laterality == "RIGHT" else pixels
        middle = upright[130:190]
        assert middle[:, 5:60].mean() > 0.25
        assert middle[:, -18:-8].mean() < 0.12
        assert 0.25 < (pixels > 0.12).mean() < 0.75  # how much of a film is breast


def test_masks_are_on_the_breast_and_have_the_size_of_a_lesion(views: list[ViewPlan]) -> None:
    for plan in views:
        view = draw_view(CONFIG, plan)
        assert len(view.masks) == len(plan.lesions)
        together = np.zeros(view.pixels.shape, int)
        for mask in view.masks:
            assert set(np.unique(mask)) == {0, 255}
            _, _, width, height = cv2.boundingRect(mask)
            assert 12 <= max(width, height) <= 56  # in a film of 288 rows
            assert view.pixels[mask > 0].mean() / 65535 > 0.12
            together += mask > 0
        assert (together > 1).sum() < 0.1 * (together > 0).sum()


def test_masks_cover_what_the_lesions_changed(views: list[ViewPlan]) -> None:
    for plan in views[:8]:
        with_lesions = draw_scene(CONFIG, plan)
        without = draw_scene(CONFIG, _without_lesions(plan))
        change = np.clip(with_lesions.brightness - without.brightness, 0, None)
        covered = np.any([mask > 0 for mask in with_lesions.masks], axis=0)
        assert change[covered].sum() > 0.6 * change.sum()


def test_the_size_changes_the_resolution_only(views: list[ViewPlan]) -> None:
    large = PhantomConfig(patients=12, seed=1, height=576, width=448)
    for plan in views[:4]:
        small = draw_scene(CONFIG, plan).brightness
        shrunk = cv2.resize(
            draw_scene(large, plan).brightness, (224, 288), interpolation=cv2.INTER_AREA
        )
        assert np.corrcoef(small.ravel(), shrunk.ravel())[0, 1] > 0.97


def test_a_second_scan_differs_by_noise_only(views: list[ViewPlan]) -> None:
    first = draw_view(CONFIG, views[0])
    second = draw_view(CONFIG, views[0], scan_number=1)
    assert (first.pixels != second.pixels).any()
    assert np.corrcoef(first.pixels.ravel(), second.pixels.ravel())[0, 1] > 0.99
    np.testing.assert_array_equal(first.masks[0], second.masks[0])


@pytest.mark.parametrize("lesion_type", ["mass", "calc"])
def test_lesions_change_smoothly_with_their_degree(lesion_type: str) -> None:
    def stamp(degree: float) -> np.ndarray:
        lesion = draw_lesion(
            lesion_type, appearance(degree), 14, 2, 1.0, generator(0, "shape"), generator(0, "view")
        )
        side = lesion.brightness.shape[0]
        pad = (181 - side) // 2
        return np.pad(lesion.brightness, pad)

    steps = [stamp(degree) for degree in np.linspace(-2, 2, 21)]
    whole = np.abs(steps[-1] - steps[0]).sum()
    for before, after in itertools.pairwise(steps):
        assert 0 < np.abs(after - before).sum() < 0.4 * whole


@pytest.mark.parametrize("lesion_type", ["mass", "calc"])
def test_difficulty_makes_the_classes_look_alike(lesion_type: str) -> None:
    """The mean benign and malignant lesion approach each other in a simple feature."""

    def feature(difficulty: float, malignant: bool) -> list[float]:
        config = PhantomConfig(patients=150, difficulty=difficulty)
        values = []
        for plan in plan_views(config):
            for lesion in plan.lesions:
                if (
                    plan.view == "MLO"
                    and lesion.lesion_type == lesion_type
                    and lesion.malignant == malignant
                ):
                    look = appearance(lesion.degree)
                    key = (plan.patient_key, lesion.number)
                    stamp = draw_lesion(
                        lesion_type, look, 14, 1, 1.0, generator(0, *key, 1), generator(0, *key, 2)
                    ).brightness
                    values.append(
                        float(np.abs(cv2.Laplacian(stamp, cv2.CV_32F)).sum() / stamp.max())
                    )
        return values

    gaps = []
    for difficulty in (0.1, 0.5, 0.9):
        benign, malignant = feature(difficulty, False), feature(difficulty, True)
        spread = np.sqrt((np.var(benign) + np.var(malignant)) / 2)
        gaps.append(abs(np.mean(benign) - np.mean(malignant)) / spread)
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[1] > 1.0


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_stored_pixels_use_the_whole_range(bits: int) -> None:
    pixels = np.array([[0, 32768, 65535]], np.uint16)
    top = 2**bits - 1
    np.testing.assert_array_equal(
        to_stored(pixels, bits, "MONOCHROME2"), [[0, round(32768 * top / 65535), top]]
    )
    inverted = to_stored(pixels, bits, "MONOCHROME1")
    assert inverted[0, 0] == top and inverted[0, 2] == 0


def _without_lesions(plan: ViewPlan) -> ViewPlan:
    return replace(plan, lesions=())
