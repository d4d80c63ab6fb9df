"""Several models: nothing depends on the order in which they are named."""

import csv
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mammo_core.errors import RecipeError
from mammo_core.evaluation.aggregate import Aggregation
from mammo_core.evaluation.decisions import DecisionRules, LevelRules
from mammo_core.metrics import Calibration
from mammo_core.packaging import TrainingData, load
from mammo_core.preprocessing import Conversion, Geometry, Preprocessing
from mammo_core.scoring import ScoreOptions, score
from mammo_core.scoring.explain import explain_image
from mammo_core.scoring.files import InputFile
from mammo_core.scoring.images import decode_file
from mammo_core.scoring.model import ScoringModel
from mammo_core.scoring.units import ScoringUnit
from mammo_core.sources.auditing.policy import ImagePolicy
from tests.support.packages import build_small

#: Chosen so that sums depend on the order of their terms.
WEIGHTS = (0.1, 0.7, 0.3)
ORDERS = list(permutations(range(3)))


def calibrated(slope):
    level = LevelRules(calibration=Calibration(method="platt", slope=slope, intercept=-0.1))
    return {"image": level, "breast": level, "patient": level}


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """Three models that differ in geometry, conversion, aggregation and training data."""
    root = tmp_path_factory.mktemp("members")
    padded = Preprocessing(
        geometry=Geometry(height=64, width=40, resize="pad", interpolation="linear"),
        mean=30.0,
        conversion=Conversion(stretch="min_max", orientation="chest_right"),
    )
    cropped = Preprocessing(
        geometry=Geometry(height=40, width=30),
        mean=50.0,
        conversion=Conversion(crop_to_breast=True),
    )
    build_small(
        root / "a",
        seed=1,
        rules=DecisionRules(**calibrated(0.5), aggregation=Aggregation(views="max")),
        training_data=TrainingData(views=("CC",), policy=ImagePolicy(views="original")),
    )
    build_small(
        root / "b",
        seed=2,
        size=(64, 40),
        preprocessing=padded,
        rules=DecisionRules(**calibrated(2.0), flips=True),
        training_data=TrainingData(manufacturers=("hologic",), bits_stored=(14,)),
        samples=np.random.default_rng(0).integers(0, 65536, (2, 64, 40)).astype(np.uint16),
    )
    build_small(
        root / "c",
        seed=3,
        size=(40, 30),
        preprocessing=cropped,
        rules=DecisionRules(**calibrated(1.0), aggregation=Aggregation(sides="mean")),
        samples=np.random.default_rng(0).integers(0, 65536, (2, 40, 30)).astype(np.uint16),
    )
    return [load(root / name) for name in "abc"]


@pytest.fixture
def exam(tmp_path, write):
    root = tmp_path / "exam"
    for number, (side, view) in enumerate((("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"))):
        path = root / f"{side}{view}.dcm"
        write.dicom(path, write.breast(number), laterality=side, view=view, patient="A")
    write.dicom(root / "b.dcm", write.breast(7), laterality="L", view="ML", patient="B")
    (root / "c.dcm").write_bytes(b"no image")
    return root


def contents(folder: Path):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def scored(members, order, inputs, folder, name="s.csv", weights=WEIGHTS, **options):
    chosen = tuple(weights[number] for number in order)
    if options.get("heatmaps"):
        options["heatmaps"] = folder / "maps"
    score(
        [members[number] for number in order],
        inputs,
        folder / name,
        ScoreOptions(weights=chosen, on_request=True, **options),
    )
    return contents(folder)


@pytest.mark.parametrize("name", ["s.csv", "s.json"])
def test_scores_and_warnings_do_not_depend_on_the_order(members, exam, tmp_path, name):
    first, *others = [
        scored(members, order, [exam], tmp_path / str(at), name) for at, order in enumerate(ORDERS)
    ]
    assert len(first) >= 2 and all(other == first for other in others)


def test_equal_weights_do_not_depend_on_the_order_either(members, exam, tmp_path):
    first, *others = [
        scored(members, order, [exam], tmp_path / str(at), weights=(1, 1, 1))
        for at, order in enumerate(ORDERS)
    ]
    assert all(other == first for other in others)


def test_heatmaps_and_regions_do_not_depend_on_the_order(members, exam, tmp_path):
    options = {"heatmaps": True, "explain": True}
    first, *others = [
        scored(members, order, [exam / "LCC.dcm"], tmp_path / str(at), **options)
        for at, order in enumerate(ORDERS)
    ]
    assert "maps/LCC.dcm.png" in first and all(other == first for other in others)


def test_an_interrupted_run_resumes_with_the_models_in_another_order(members, exam, tmp_path):
    calls = []

    def interrupt(count):
        calls.append(count)
        if len(calls) == 2:
            raise KeyboardInterrupt

    out = tmp_path / "s.csv"
    with pytest.raises(KeyboardInterrupt):
        options = ScoreOptions(weights=WEIGHTS, batch_size=1)
        score(members, [exam], out, options, progress=interrupt)
    again = ScoreOptions(weights=WEIGHTS[::-1], batch_size=1)
    assert score(members[::-1], [exam], out, again).resumed == 2


def test_warnings_are_those_of_all_models(members, exam, tmp_path):
    scored(members, (2, 1, 0), [exam], tmp_path / "s")
    with (tmp_path / "s/s.csv").open(newline="") as file:
        warnings = {row["path"]: row["warnings"] for row in csv.DictReader(file)}
    text = warnings["LMLO.dcm"]
    assert "view MLO is outside the training data" in text  # of a
    assert "vendor unknown" in text and "fewer gray levels" in text  # of b
    assert "does not describe its training data" in text  # of c
    assert text.count("vendor unknown") == 1


def test_a_view_counts_only_as_what_all_models_say(members, exam, tmp_path):
    def view_class(*chosen):
        out = tmp_path / "s.parquet"
        score([members[number] for number in chosen], [exam / "b.dcm"], out,
              ScoreOptions(on_request=True))  # fmt: skip
        return pd.read_parquet(out)["view_class"].tolist()

    # In the original system ML counts as CC; under the general policy it counts as nothing.
    assert view_class(0) == ["CC"]
    assert view_class(0, 1) == view_class(1, 0) == view_class(1)


def test_each_model_aggregates_by_its_own_rule(members, exam, tmp_path):
    shares = np.array(WEIGHTS) / sum(WEIGHTS)
    for level in ("breasts", "patients"):
        total = 0
        for member, share in zip(members, shares, strict=True):
            score(member, [exam], tmp_path / "one.parquet", ScoreOptions(on_request=True))
            table = pd.read_parquet(tmp_path / f"one.{level}.parquet")
            total += share * table[["malignant_probability", "calibrated_probability"]].to_numpy()
        scored(members, (1, 2, 0), [exam], tmp_path / "all", "s.parquet")
        table = pd.read_parquet(tmp_path / f"all/s.{level}.parquet")
        at_level = table[["malignant_probability", "calibrated_probability"]].to_numpy()
        np.testing.assert_allclose(at_level, total, atol=2e-6)


def explained(members, path, weights=None):
    model = ScoringModel.from_packages(members, weights)
    image = decode_file(
        InputFile(path.name, path=path), model.preprocessings, None, model.policy_rule()
    )
    unit = ScoringUnit((image,), image.pixels)
    return explain_image(model, unit, image), image, model


def test_the_map_of_several_models_is_the_mean_over_the_file(members, exam):
    weights = (1, 3)
    (together, picture), image, model = explained(members[:2], exam / "LCC.dcm", weights)
    assert together.heat.shape == picture.shape == (96, 72)
    total = np.zeros((96, 72))
    for number, (package, share) in enumerate(zip(model.packages, model.weights, strict=True)):
        (alone, _), _, _ = explained([package], exam / "LCC.dcm")
        total += share * image.maps[number].to_source(alone.heat)
    np.testing.assert_allclose(together.heat, total, atol=1e-6)
    # The picture is the image of the file: the padded and turned model has it back in place.
    from mammo_core.dicom import read_image

    pixels = read_image(exam / "LCC.dcm").pixels
    assert np.corrcoef(picture.ravel(), pixels.ravel())[0, 1] > 0.9


def test_regions_of_a_large_file_are_pixels_of_the_file(members, tmp_path, write):
    path = write.dicom(tmp_path / "large.dcm", write.breast(3, shape=(4200, 320)))
    (explanation, picture), _, _ = explained(members[:2], path)
    assert explanation.heat.shape == picture.shape == (1400, 107)
    assert explanation.regions
    for region in explanation.regions:
        assert 0 <= region.top <= region.row <= region.bottom < 4200
        assert 0 <= region.left <= region.column <= region.right < 320
        top, left = region.top // 3, region.left // 3
        bottom, right = region.bottom // 3, region.right // 3
        assert explanation.heat[top : bottom + 1, left : right + 1].max() == pytest.approx(
            region.peak
        )


def test_models_of_one_geometry_are_explained_in_it(tmp_path, write):
    packages = [load(build_small(tmp_path / f"m{seed}", seed=seed)) for seed in (1, 2)]
    path = write.dicom(tmp_path / "x.dcm", write.breast(1))
    (explanation, picture), _, _ = explained(packages, path)
    assert explanation.heat.shape == picture.shape == (48, 36)


def test_models_of_one_view_and_of_two_cannot_be_averaged(members, two_views):
    with pytest.raises(RecipeError, match="cannot be averaged"):
        ScoringModel.from_packages([members[0], two_views])
