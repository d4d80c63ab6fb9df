"""Images of a patient share the texture of her tissue, and no other patient's."""

import itertools

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from mammo_core.phantom import PhantomConfig, draw_view, plan_views
from mammo_core.phantom.draw import draw_scene
from mammo_core.phantom.likeness import patient_texture
from mammo_core.seeds import generator

ALIKE = PhantomConfig(patients=40, seed=1, height=288, width=224, likeness=1)
UNLIKE = ALIKE.model_copy(update={"likeness": 0})


def energies(config: PhantomConfig) -> list[tuple[str, npt.NDArray[np.float64]]]:
    """Patient and texture (24 Gabor energies, left breast) of views in which a breast is large."""
    bank = []
    for wavelength, turn in itertools.product((4, 6, 9, 13), range(6)):
        side = int(3 * wavelength / 2) * 2 + 1
        angle = turn * np.pi / 6
        kernel = cv2.getGaborKernel((side, side), 0.5 * wavelength, angle, wavelength, 0.6, 0)
        bank.append((kernel - kernel.mean()).astype(np.float32))
    rows = []
    for plan in plan_views(config):
        image = draw_view(config, plan).pixels.astype(np.float32) / 65535
        image = image[:, ::-1] if plan.laterality == "RIGHT" else image
        window = np.ascontiguousarray(image[130:210, 10:90])
        values = [np.log(np.abs(cv2.filter2D(window, -1, kernel)).mean()) for kernel in bank]
        rows.append((plan.patient_key, np.array(values)))
    return rows


def known_again(config: PhantomConfig) -> float:
    """The share of views whose nearest other view, by texture, is of the same patient."""
    rows = energies(config)
    values = np.stack([row for _, row in rows])
    values = (values - values.mean(0)) / values.std(0)
    patients = np.array([patient for patient, _ in rows])
    apart = ((values[:, None] - values[None]) ** 2).sum(-1)
    np.fill_diagonal(apart, np.inf)
    return float(np.mean(patients[apart.argmin(1)] == patients))


def test_a_patient_is_known_again_by_her_texture() -> None:
    # One of about 80 other views at random.
    assert known_again(ALIKE) > 0.5
    assert known_again(UNLIKE) < 0.2


def test_likeness_adds_to_the_tissue_and_moves_no_lesion() -> None:
    for plan in plan_views(ALIKE)[:6]:
        alike, unlike = draw_scene(ALIKE, plan), draw_scene(UNLIKE, plan)
        for mask, other in zip(alike.masks, unlike.masks, strict=True):
            np.testing.assert_array_equal(mask, other)
        difference = alike.brightness - unlike.brightness
        assert np.array_equal(difference != 0, (difference != 0) & (unlike.brightness > 0))
        # Two components of up to 0.028 each.
        assert 0.003 < difference[unlike.brightness > 0.2].std() < 0.045


def test_a_texture_belongs_to_its_patient() -> None:
    first, again, other = (
        patient_texture(generator(1, "phantom", key, "texture")) for key in ("A", "A", "B")
    )
    assert first == again != other
    for stripes in first:
        assert 4 <= stripes.wavelength <= 14
        assert 0 <= stripes.direction < np.pi
        assert stripes.strength == pytest.approx(0.6, abs=0.4)
