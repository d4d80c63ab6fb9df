"""The counterfactual test: a model that sees the lesion falls, one that does not stays."""

from types import SimpleNamespace

import numpy as np
import pytest

from mammo_core.errors import ModelError, RecipeError, RecordError
from mammo_core.experiments.explanations import check_explanations, explanation_page
from mammo_core.experiments.lesion_pairs import Pair, draw_pairs
from mammo_core.preprocessing import Conversion, Geometry, Preprocessing

PREPROCESSING = Preprocessing(geometry=Geometry(height=192, width=150), mean=20.0)


@pytest.fixture(scope="module")
def pairs():
    return draw_pairs(PREPROCESSING, patients=24)


def model(probability, unit="image"):
    """A package without a patch classifier: its map is made by occlusion."""
    return SimpleNamespace(
        model_id="m",
        unit=unit,
        patch_model=None,
        manifest=SimpleNamespace(),
        predict=lambda pixels: np.array([probability(p) for p in pixels], np.float32),
    )


def test_pairs_differ_where_the_lesion_is_and_nowhere_else(pairs):
    assert len(pairs) >= 8 and len({pair.patient_key for pair in pairs}) >= 4
    for pair in pairs:
        assert pair.shown.shape == pair.removed.shape == pair.mask.shape == (192, 150)
        changed = np.abs(pair.shown.astype(int) - pair.removed.astype(int))
        assert changed[pair.mask].mean() > 20 * max(changed[~pair.mask].mean(), 1)
        # Noise, spicules and the edge of the lesion reach a little beyond its mask.
        assert changed[pair.mask].sum() > 0.5 * changed.sum()


def test_a_model_that_responds_to_lesions_falls_and_one_of_noise_does_not(pairs):
    removed = {pair.removed.tobytes() for pair in pairs}
    lesion_of = {}
    for pair in pairs:
        lesion_of[pair.shown.tobytes()] = pair

    def trained(pixels):
        """Sees how much of a lesion is left: 0.9 with all of it."""
        key = pixels.tobytes()
        if key in removed:
            return 0.2
        nearest = min(
            pairs, key=lambda pair: np.count_nonzero((pair.shown != pixels) & (pixels != 0))
        )
        left = (pixels[nearest.mask] == nearest.shown[nearest.mask]).mean()
        return 0.2 + 0.7 * left

    few = pairs[:4]
    result, overlays = check_explanations(model(trained), few, replicates=200)
    assert result.explains and result.against_benign.fall.value < 0.7
    assert result.probability.fall.value == pytest.approx(0.7, abs=1e-6)
    assert result.heat.fall.value > 0.1 and result.probability.share.value == 1.0
    assert len(overlays) == 8 and "without its malignant lesion" in overlays[1].caption

    rng = np.random.default_rng(0)
    shuffled, _ = check_explanations(model(lambda _: 0.5 + 0.1 * rng.normal()), few, replicates=200)
    assert not shuffled.explains and shuffled.probability.verdict == "does not fall"
    html = explanation_page({"trained": result, "shuffled": shuffled}, overlays)
    assert html.count("does not fall") >= 1 and html.count("data:image/png") == 8


def test_the_benign_lesion_is_in_the_same_place(pairs):
    for pair in pairs:
        changed = np.abs(pair.benign.astype(int) - pair.removed.astype(int))
        assert changed[pair.mask].mean() > 10 * max(changed[~pair.mask].mean(), 1)
        assert (pair.benign != pair.shown).any()


def test_the_same_seed_draws_the_same_pairs(pairs):
    again = draw_pairs(PREPROCESSING, patients=24)
    assert all((a.shown == b.shown).all() for a, b in zip(pairs, again, strict=True))
    other = draw_pairs(PREPROCESSING, patients=24, seed=1)
    assert (other[0].shown != pairs[0].shown).any()


def test_what_cannot_be_tested_is_refused(pairs):
    turned = PREPROCESSING.model_copy(update={"conversion": Conversion(orientation="chest_left")})
    with pytest.raises(RecordError, match="neither crops nor turns"):
        draw_pairs(turned, 4)
    with pytest.raises(ModelError, match="takes one image"):
        check_explanations(model(lambda _: 0.5, unit="breast"), pairs)


def patch_package(names, probability):
    """A package whose patch classifier knows lesions by their brightness alone."""
    import keras

    image = keras.Input((None, None, 1))
    features = keras.layers.Conv2D(1, 1, name="features")(image)
    classes = keras.layers.Dense(3, activation="softmax", name="classes")
    network = keras.Model(image, classes(keras.layers.GlobalAveragePooling2D()(features)))
    network.get_layer("features").set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    # Dark: background. 0.5: the second class. 0.9: the third.
    classes.set_weights([np.array([[0.0, 20.0, 40.0]]), np.array([0.0, -6.0, -18.0])])
    package = model(probability)
    package.patch_model = network
    package.labels = SimpleNamespace(patch={name: index for index, name in enumerate(names)})
    package.manifest = SimpleNamespace(patch_size=8)
    package.preprocessing = SimpleNamespace(
        to_network=lambda pixels: (pixels[..., np.newaxis] / 65535).astype(np.float32)
    )
    return package


def bright_pairs():
    for number in range(4):
        pixels = {name: np.full((32, 24), 6_000, np.uint16) for name in ("one", "two", "none")}
        mask = np.zeros((32, 24), bool)
        mask[8:24, 6:20] = True
        pixels["one"][mask], pixels["two"][mask] = 59_000, 32_000
        yield Pair(f"v{number}", f"p{number}", pixels["one"], pixels["two"], pixels["none"], mask)


def test_the_heat_of_malignancy_is_asked_with_a_benign_lesion_in_the_place():
    def bright(pixels):
        return pixels.max() / 65535

    names = ("background", "benign", "malignant")
    knows, _ = check_explanations(patch_package(names, bright), list(bright_pairs()), replicates=99)
    assert knows.malignant_heat.fall.value > 0.5 and knows.explains
    assert knows.heat.fall.value > 0.5

    # Shuffled labels: where lesions are is known, which are malignant is not.
    shuffled = patch_package(names, lambda _: 0.5)
    weights = shuffled.patch_model.layers[-1].get_weights()
    weights[0][:, 2], weights[1][2] = weights[0][:, 1], weights[1][1]
    shuffled.patch_model.layers[-1].set_weights(weights)
    result, _ = check_explanations(shuffled, list(bright_pairs()), replicates=99)
    assert result.heat.verdict == "falls" and result.malignant_heat.fall.value < 0.1
    assert result.probability.verdict == "does not fall" and not result.explains

    # Classes that do not say which is malignant.
    unnamed = patch_package(("background", "a", "b"), bright)
    result, _ = check_explanations(unnamed, list(bright_pairs()), replicates=99)
    assert result.malignant_heat is None and result.explains


def test_pairs_of_another_layout_have_its_views_and_its_look():
    """MIAS: pairs of films, all MLO."""
    films = draw_pairs(PREPROCESSING, patients=24, layout="mias")
    assert films and all(pair.name.endswith("_MLO") for pair in films)
    with pytest.raises(RecipeError, match="layout"):
        draw_pairs(PREPROCESSING, patients=24, layout="other")
