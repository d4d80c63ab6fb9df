"""Six phantom views in seven forms: what no mammogram has gets no decision, and says why."""

import csv
import json

import numpy as np
import pytest

from mammo_core.evaluation.decisions import DecisionRules, LevelRules, NamedPoint
from mammo_core.imaging import distribution_of, measure_gray_levels
from mammo_core.imaging.plausibility import DISTRIBUTED
from mammo_core.packaging import TrainingData, load
from mammo_core.phantom.config import PhantomConfig
from mammo_core.phantom.draw import draw_scene, scan_scene
from mammo_core.phantom.plan import plan_views
from mammo_core.scoring import ScoreOptions, score
from mammo_core.scoring.gray_levels import GENERAL_RULES

POINT = NamedPoint(name="balanced", threshold=0.5, sensitivity=0.7, specificity=0.8)
LEVEL = LevelRules(operating_points=(POINT,))
#: Form → code of the fault that it must name.
WRONG = {"inverted": "inverted", "constant": "constant", "noise": "noise", "12-in-16": "dark"}


def draw_views(seed, count=6):
    config = PhantomConfig(patients=4, seed=seed, height=192, width=144)
    views = plan_views(config)[:count]
    return [(view, scan_scene(config, view, draw_scene(config, view), 0)) for view in views]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_package):
    """A package that knows the gray levels of its training images."""
    measures = [measure_gray_levels(p, 16) for seed in (11, 12, 13) for _, p in draw_views(seed)]
    levels = {name: [getattr(m, name) for m in measures] for name in DISTRIBUTED}
    data = TrainingData(views=("CC", "MLO"), gray_levels=distribution_of(levels))
    rules = DecisionRules(image=LEVEL, breast=LEVEL, patient=LEVEL)
    path = tmp_path_factory.mktemp("unlike") / "package"
    return make_package(path, training_data=data, rules=rules)


@pytest.fixture(scope="module")
def forms(tmp_path_factory, write):
    """Six views in seven forms, a folder each."""
    root = tmp_path_factory.mktemp("forms")
    random = np.random.default_rng(1)
    for view, plain in draw_views(1):
        name = f"{view.patient_key}_{view.laterality}_{view.view}"
        names = {"laterality": view.laterality[0], "view": view.view, "patient": view.patient_key}
        write.png(root / "8-bit" / f"{name}.png", (plain // 257).astype(np.uint8))
        for form, pixels, more in (
            ("plain", plain, {}),
            ("signed", plain // 2, {"PixelRepresentation": 1}),
            ("inverted", 65535 - plain, {}),
            ("constant", np.zeros_like(plain), {}),
            ("noise", random.integers(0, 65536, plain.shape), {}),
            ("12-in-16", plain // 16, {}),
        ):
            write.dicom(root / form / f"{name}.dcm", pixels, bits=16, **names, **more)
    return root


@pytest.fixture(scope="module")
def scores(folder, forms, tmp_path_factory):
    """Form → the rows of its images, breasts and patients."""
    package, out = load(folder), tmp_path_factory.mktemp("scores")
    result = {}
    for form in sorted(path.name for path in forms.iterdir()):
        summary = score(package, [forms / form], out / f"{form}.json")
        result[form] = json.loads((out / f"{form}.json").read_text())
        assert summary.unlike == sum(bool(row["unlike_training"]) for row in result[form]["images"])
    return result


def test_plain_and_8_bit_agree(scores):
    plain, eight = (
        {row["path"].partition(".")[0]: row for row in scores[form]["images"]}
        for form in ("plain", "8-bit")
    )
    assert len(plain) == 6 and plain.keys() == eight.keys()
    for name, row in plain.items():
        assert row["unlike_training"] == eight[name]["unlike_training"] == []
        assert row["decision"] == eight[name]["decision"] != ""
        assert row["malignant_probability"] == pytest.approx(
            eight[name]["malignant_probability"], abs=0.01
        )


def test_signed_pixels_without_negative_values_score_as_plain(scores):
    for plain, signed in zip(scores["plain"]["images"], scores["signed"]["images"], strict=True):
        assert signed["unlike_training"] == [] and signed["decision"] == plain["decision"]
        assert signed["malignant_probability"] == pytest.approx(
            plain["malignant_probability"], abs=0.01
        )


@pytest.mark.parametrize("form", WRONG)
def test_what_no_mammogram_has_gets_no_decision(scores, form):
    rows = scores[form]["images"]
    assert len(rows) == 6
    for row in rows:
        assert row["decision"] == "" and row["malignant_probability"] >= 0
        assert WRONG[form] in [item["code"] for item in row["unlike_training"]]
        assert any(item["low"] is not None or item["high"] is not None
                   for item in row["unlike_training"])  # fmt: skip
        assert all(item["message"] for item in row["unlike_training"])
    for row in scores[form]["breasts"] + scores[form]["patients"]:
        assert row["decision"] == "" and row["unlike_training"]


def test_one_such_image_leaves_its_breast_and_patient_undecided(folder, forms, tmp_path, write):
    view, plain = draw_views(1)[0]
    key = view.patient_key
    write.dicom(tmp_path / "in/a.dcm", plain, bits=16, patient=key)
    write.dicom(tmp_path / "in/b.dcm", plain // 16, bits=16, view="MLO", patient=key)
    write.dicom(tmp_path / "in/c.dcm", plain, bits=16, laterality="R", patient=key)
    score(load(folder), [tmp_path / "in"], tmp_path / "s.json")
    result = json.loads((tmp_path / "s.json").read_text())
    assert [bool(row["decision"]) for row in result["images"]] == [True, False, True]
    assert {row["laterality"]: bool(row["decision"]) for row in result["breasts"]} == {
        "LEFT": False,
        "RIGHT": True,
    }
    assert [row["decision"] for row in result["patients"]] == [""]


def test_a_setting_decides_all_the_same(folder, forms, tmp_path):
    options = ScoreOptions(decide_unlike=True)
    score(load(folder), [forms / "12-in-16"], tmp_path / "s.csv", options)
    for name in ("s.csv", "s.breasts.csv", "s.patients.csv"):
        with (tmp_path / name).open(newline="") as file:
            for row in csv.DictReader(file):
                assert row["decision"] in ("positive", "negative")
                assert "dark: " in row["unlike_training"]


def test_a_package_without_gray_levels_has_the_general_rules(make_package, forms, tmp_path):
    rules = DecisionRules(image=LEVEL)
    package = load(make_package(tmp_path / "package", rules=rules))
    score(package, [forms], tmp_path / "s.json")
    result = json.loads((tmp_path / "s.json").read_text())
    assert result["model"]["gray_levels"] == GENERAL_RULES
    for row in result["images"]:
        form = row["path"].partition("/")[0]
        codes = [item["code"] for item in row["unlike_training"]]
        assert codes == ([WRONG[form]] if form in WRONG else [])
        assert bool(row["decision"]) == (form not in WRONG)


def test_a_model_of_two_views_does_not_decide_about_such_a_breast(
    two_views, forms, tmp_path, write
):
    (_, plain), *_ = draw_views(1)
    write.dicom(tmp_path / "in/a.dcm", plain, bits=16)
    write.dicom(tmp_path / "in/b.dcm", 65535 - plain, bits=16, view="MLO")
    score(two_views, [tmp_path / "in"], tmp_path / "s.json")
    rows = json.loads((tmp_path / "s.json").read_text())["images"]
    assert [row["decision"] for row in rows] == ["", ""]
    assert [bool(row["unlike_training"]) for row in rows] == [False, True]


def test_a_mirrored_picture_is_reported(make_package, tmp_path, write):
    from mammo_core.preprocessing import Conversion, Geometry, Preprocessing

    preprocessing = Preprocessing(
        geometry=Geometry(height=48, width=36),
        mean=100.0,
        conversion=Conversion(orientation="chest_left"),
    )
    package = load(make_package(tmp_path / "package", preprocessing=preprocessing))
    picture = write.breast()
    write.dicom(tmp_path / "in/a.dcm", picture, PatientOrientation=["A", "F"])
    write.dicom(tmp_path / "in/b.dcm", picture[:, ::-1], PatientOrientation=["A", "F"])
    score(package, [tmp_path / "in"], tmp_path / "s.json")
    first, second = json.loads((tmp_path / "s.json").read_text())["images"]
    assert "chest_wall" not in [warning["code"] for warning in first["warnings"]]
    messages = [w["message"] for w in second["warnings"] if w["code"] == "chest_wall"]
    assert len(messages) == 2 and "LEFT breast is at the right" in messages[1]
    # Both have the chest wall on the left now: the same input of the network.
    assert first["malignant_probability"] == second["malignant_probability"]
