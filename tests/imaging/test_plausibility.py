"""Plausible gray levels: of phantoms at several sizes and depths, and what else a file may hold."""

import cv2
import numpy as np
import pytest

from mammo_core.dicom import read_image
from mammo_core.imaging import (
    distribution_of,
    find_faults,
    find_outliers,
    measure_gray_levels,
)
from mammo_core.imaging.plausibility import DISTRIBUTED, FAULTS
from mammo_core.phantom.config import PhantomConfig
from mammo_core.phantom.draw import draw_scene, scan_scene
from mammo_core.phantom.plan import plan_views

#: Rows, columns and seeds: a few views of each.
SIZES = {(192, 144): range(18), (288, 224): range(18, 26), (576, 448): range(26, 28)}


def draw_phantoms(size, seeds):
    """Return views of several phantoms, `(h, w) uint16, [0, 65535]`."""
    pictures = []
    for seed in seeds:
        config = PhantomConfig(patients=2, seed=seed, height=size[0], width=size[1])
        pictures += [scan_scene(config, v, draw_scene(config, v), 0) for v in plan_views(config)]
    return pictures


@pytest.fixture(scope="module")
def phantoms():
    """More than a hundred views."""
    return [p for size, seeds in SIZES.items() for p in draw_phantoms(size, seeds)]


def to_bits(pixels, bits):
    return (pixels.astype(np.uint32) * (2**bits - 1) // 65535).astype(np.uint16)


def codes(pixels, bits):
    return [fault.code for fault in find_faults(measure_gray_levels(pixels, bits))]


def label(pixels, bits, random):
    """Return an empty picture with a label."""
    height, width = pixels.shape
    text = np.zeros(pixels.shape, np.uint8)
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(text, "R CC", (width // 3, height // 8), font, height / 300, 255, 1, cv2.LINE_AA)
    empty = random.normal(0.02, 0.004, pixels.shape).clip(0, 1) + text / 255
    return (empty.clip(0, 1) * (2**bits - 1)).astype(np.uint16)


def blurred_noise(pixels, bits, random):
    noise = cv2.GaussianBlur(random.normal(0, 1, pixels.shape), (0, 0), 2)
    noise = (noise - noise.min()) / (noise.max() - noise.min())
    return (noise * (2**bits - 1)).astype(np.uint16)


def fold(bits_kept):
    def apply(pixels, bits, random):
        # As a reader that masks too many bits: the levels wrap around at the shorter range.
        short = pixels & (2 ** (bits - bits_kept) - 1)
        return (short.astype(np.uint32) << bits_kept).astype(np.uint16)

    return apply


#: Fault → the code expected (any of them), and how it is made from a picture of some bits.
KINDS = {
    "zero": ({"constant"}, lambda p, b, r: np.zeros_like(p)),
    "constant": ({"constant"}, lambda p, b, r: np.full_like(p, 2**b // 3)),
    "nearly constant": (
        {"nearly_constant"},
        lambda p, b, r: (2**b // 3 + r.integers(0, 3, p.shape)).astype(np.uint16),
    ),
    "inverted": ({"inverted"}, lambda p, b, r: (2**b - 1 - p).astype(np.uint16)),
    "shifted by half": ({"inverted", "folded"}, lambda p, b, r: (p + 2 ** (b - 1)) & (2**b - 1)),
    "folded at 1/2": ({"folded"}, fold(1)),
    "folded at 1/4": ({"folded", "inverted"}, fold(2)),
    "noise": ({"noise"}, lambda p, b, r: r.integers(0, 2**b, p.shape).astype(np.uint16)),
    "gray noise": (
        {"noise"},
        lambda p, b, r: (r.normal(0.5, 0.1, p.shape).clip(0, 1) * (2**b - 1)).astype(np.uint16),
    ),
    "blurred noise": ({"noise", "inverted"}, blurred_noise),
    "a label only": ({"no_breast"}, label),
    "a gradient": (
        {"no_breast", "inverted"},
        lambda p, b, r: np.tile(
            np.linspace(0, 2**b - 1, p.shape[1]).astype(np.uint16), (p.shape[0], 1)
        ),
    ),
}


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_mammograms_are_plausible(phantoms, bits):
    flagged = [codes(to_bits(picture, bits), bits) for picture in phantoms]
    assert len(flagged) > 100 and sum(map(bool, flagged)) <= len(flagged) / 100


def strip(share):
    def apply(pixels):
        """A black strip of film at the chest wall."""
        framed = pixels.copy()
        width = max(2, int(share * pixels.shape[1]))
        at_right = measure_gray_levels(pixels, 16).chest_wall == "right"
        framed[:, -width:] = 0 if at_right else framed[:, -width:]
        framed[:, :width] = framed[:, :width] if at_right else 0
        return framed

    return apply


def frame(level, share):
    def apply(pixels):
        """A frame of one level around the picture."""
        framed, width = pixels.copy(), max(2, int(share * pixels.shape[1]))
        for side in (np.s_[:width], np.s_[-width:], np.s_[:, :width], np.s_[:, -width:]):
            framed[side] = level
        return framed

    return apply


def stretch(pixels):
    """A picture whose tissue is as bright as its format allows."""
    return (pixels / np.quantile(pixels, 0.995) * 65535).clip(0, 65535).astype(np.uint16)


#: Digitized films have margins, and detectors dead columns, where neighbors jump.
MARGINS = {
    "a dead column": strip(0),
    "a black strip": strip(0.01),
    "a margin of film": strip(0.05),
    "a black frame": frame(0, 0.02),
    "a white frame": frame(65535, 0.015),
    "a wide white frame": frame(65535, 0.04),
    "a bright breast with a strip": lambda pixels: strip(0.01)(stretch(pixels)),
    "a bright breast in a frame": lambda pixels: frame(0, 0.02)(stretch(pixels)),
}


@pytest.mark.parametrize("margin", MARGINS)
def test_margins_are_plausible(phantoms, margin):
    pictures = phantoms[::2]
    flagged = [codes(to_bits(MARGINS[margin](picture), 12), 12) for picture in pictures]
    assert sum(map(bool, flagged)) <= len(flagged) / 50


def film(sigma):
    def apply(pixels):
        """A digitized film: its black is noisier than its tissue."""
        noise = np.random.default_rng(1).normal(0, sigma * 65535, pixels.shape)
        noisy = pixels + np.where(pixels < 2000, noise, 0.3 * noise)
        return noisy.clip(0, 65535).astype(np.uint16)

    return apply


def gamma(exponent):
    return lambda pixels: ((pixels / 65535) ** exponent * 65535).astype(np.uint16)


#: Films and other curves between exposure and gray level.
CURVES = {
    "film": film(0.01),
    "old film": film(0.03),
    "brighter": gamma(0.5),
    "much brighter": gamma(0.3),
    "darker": gamma(2),
    "bright old film": lambda pixels: film(0.03)(gamma(0.4)(pixels)),
    "contrast to the end": stretch,
}


@pytest.mark.parametrize("curve", CURVES)
def test_curves_are_plausible_and_their_negatives_are_not(phantoms, curve):
    pictures = [CURVES[curve](picture) for picture in phantoms[::2]]
    flagged = [codes(to_bits(picture, 12), 12) for picture in pictures]
    assert sum(map(bool, flagged)) <= len(flagged) / 50
    negatives = [codes(4095 - to_bits(picture, 12), 12) for picture in pictures]
    assert sum("inverted" in names for names in negatives) >= 0.95 * len(negatives)


@pytest.mark.parametrize("margin", ["a margin of film", "a wide white frame"])
@pytest.mark.parametrize("kind", ["inverted", "folded at 1/2", "shifted by half"])
def test_faults_are_found_within_margins(phantoms, kind, margin):
    expected, make = KINDS[kind]
    random = np.random.default_rng(1)
    framed = [
        MARGINS[margin](make(to_bits(p, 12), 12, random).astype(np.uint16) << 4) >> 4
        for p in phantoms[::4]
    ]
    right = [bool(set(codes(picture, 12)) & expected) for picture in framed]
    assert sum(right) >= 0.9 * len(right)  # of pictures this small, a margin hides some contours


@pytest.mark.parametrize("kind", KINDS)
def test_faults_are_found(phantoms, kind):
    expected, make = KINDS[kind]
    random = np.random.default_rng(1)
    depths = [(p, (8, 12, 16)[number % 3]) for number, p in enumerate(phantoms[::2])]
    results = [codes(make(to_bits(p, bits), bits, random), bits) for p, bits in depths]
    right = [bool(set(names) & expected) for names in results]
    assert sum(right) >= 0.95 * len(right), results


@pytest.mark.parametrize(("bits", "declared"), [(8, 12), (8, 16), (12, 16), (12, 15), (10, 14)])
def test_a_small_share_of_the_range_is_dark(phantoms, bits, declared):
    assert all("dark" in codes(to_bits(p, bits), declared) for p in phantoms[::4])


def test_a_bright_label_does_not_hide_a_dark_picture(phantoms):
    for picture in phantoms[-10:]:
        dark = to_bits(picture, 12)
        dark[: dark.shape[0] // 40, -dark.shape[1] // 10 :] = 65535
        assert "dark" in codes(dark, 16)


def test_half_of_the_range_is_common(phantoms):
    assert not any(codes(to_bits(picture, 11), 12) for picture in phantoms[::3])


@pytest.mark.parametrize("shape", [(64, 64), (65, 200), (300, 67), (100, 3001)])
def test_pictures_of_any_shape_are_measured(shape):
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(0, 1, shape[1]), indexing="ij")
    inside = y**2 + (x / 0.8) ** 2 < 0.9
    texture = np.random.default_rng(2).normal(0, 0.02, shape)
    picture = np.where(inside, 0.5 + 0.2 * np.cos(3 * y) * (1 - x) + texture, 0)
    measures = measure_gray_levels((picture.clip(0, 1) * 4095).astype(np.uint16), 12)
    assert find_faults(measures) == []
    assert measures.chest_wall == "left" and measures.breast_share == pytest.approx(
        inside.mean(), abs=0.05
    )


@pytest.mark.parametrize(("turn", "side"), [(0, "left"), (1, "bottom"), (2, "right"), (3, "top")])
def test_the_chest_wall_is_where_the_breast_touches_the_border(turn, side):
    y, x = np.meshgrid(np.linspace(-1, 1, 200), np.linspace(0, 1, 160), indexing="ij")
    picture = np.where(y**2 + (x / 0.8) ** 2 < 0.8, 2000 + 900 * np.cos(9 * y), 0)
    assert measure_gray_levels(np.rot90(picture.astype(np.uint16), turn), 12).chest_wall == side


def test_a_fault_names_measure_and_value():
    (fault,) = find_faults(measure_gray_levels(np.zeros((80, 64), np.uint16), 12))
    assert fault.code in FAULTS
    assert fault.message == "The picture has one gray level: levels 1, expected at least 2"


@pytest.fixture(scope="module")
def training():
    """The distribution over twenty views of one size."""
    rows = [measure_gray_levels(p, 16) for p in draw_phantoms((576, 448), range(20, 25))]
    return distribution_of({name: [getattr(row, name) for row in rows] for name in DISTRIBUTED})


@pytest.mark.parametrize("bits", [8, 16])
def test_other_images_are_like_the_training_images(phantoms, training, bits):
    unlike = [
        find_outliers(measure_gray_levels(to_bits(p, bits), bits), training) for p in phantoms
    ]
    assert sum(map(bool, unlike)) <= len(unlike) / 100, [item for item in unlike if item]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("folded")])
def test_faults_are_outside_the_range_of_training(phantoms, training, kind):
    random = np.random.default_rng(1)
    results = [
        find_outliers(measure_gray_levels(KINDS[kind][1](p, 16, random), 16), training)
        for p in phantoms[::3]
    ]
    assert sum(map(bool, results)) >= 0.95 * len(results)


def test_an_outlier_states_the_range(training):
    dark = to_bits(draw_phantoms((576, 448), [1])[0], 12)
    outliers = {
        item.measure: item for item in find_outliers(measure_gray_levels(dark, 16), training)
    }
    used = outliers["used_range"]
    assert used.value < 0.07 and used.low > 0.2 and used.high is None


def test_the_range_is_that_of_the_training_images_alone():
    distribution = distribution_of({"used_range": [0.5, 0.6, 0.7], "mean": []})
    assert distribution["used_range"].model_dump() == {
        "minimum": 0.5, "q01": 0.502, "median": 0.6, "q99": 0.698, "maximum": 0.7
    }  # fmt: skip
    assert "mean" not in distribution


def test_a_few_bright_pixels_are_no_fold():
    picture = to_bits(draw_phantoms((192, 144), [3])[0], 12)
    picture[::40, 3:9:2] = 4095
    assert codes(picture, 12) == []


@pytest.mark.real
def test_real_mammograms_are_plausible(real_data):
    files = sorted((real_data / "cbis_ddsm_png").glob("*.png"))
    images = [read_image(path) for path in [*files, real_data / "dicom" / "MG1_J2KI.dcm"]]
    assert len(images) == 7
    assert [codes(image.pixels, image.facts.bits_stored) for image in images] == [[]] * 7
    inverted = [2**i.facts.bits_stored - 1 - i.pixels for i in images]
    for image, pixels in zip(images, inverted, strict=True):
        assert codes(pixels.astype(np.uint16), image.facts.bits_stored) == ["inverted"]
