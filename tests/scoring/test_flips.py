"""Flips that were not evaluated give no decision and no calibrated probability."""

import csv
import json

import pytest

from mammo_core.errors import RecipeError
from mammo_core.evaluation.decisions import DecisionRules, LevelRules, NamedPoint, RulesByLevel
from mammo_core.metrics import Calibration
from mammo_core.packaging import load
from mammo_core.scoring import ScoreOptions, score

TABLES = ("s.csv", "s.breasts.csv", "s.patients.csv")


def level_rules(threshold, slope):
    point = NamedPoint(
        name="specificity-0.80", threshold=threshold, sensitivity=0.7, specificity=0.8
    )
    calibration = Calibration(method="platt", slope=slope, intercept=0.0)
    return LevelRules(calibration=calibration, operating_points=(point,))


# Without flips everything is positive, with flips everything negative.
PLAIN, FLIPPED = level_rules(0.0, 0.5), level_rules(1.0, 2.0)
EVALUATED = DecisionRules(image=PLAIN, breast=PLAIN, patient=PLAIN)
BOTH = EVALUATED.model_copy(
    update={"other_flips": RulesByLevel(image=FLIPPED, breast=FLIPPED, patient=FLIPPED)}
)


@pytest.fixture(scope="module")
def make(tmp_path_factory, make_package):
    def make_loaded(rules, **changes):
        return load(make_package(tmp_path_factory.mktemp("m") / "package", rules=rules, **changes))

    return make_loaded


@pytest.fixture(scope="module")
def evaluated(make):
    return make(EVALUATED)


@pytest.fixture
def image(tmp_path, write):
    return write.dicom(tmp_path / "x.dcm", write.breast(1), laterality="L", view="CC", patient="A")


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_flips_that_were_not_evaluated_give_neither_decision_nor_calibration(
    evaluated, image, tmp_path
):
    summary = score(evaluated, [image], tmp_path / "s.csv", ScoreOptions(flips=True))
    assert summary.no_decision == "flips_not_evaluated"
    for name in TABLES:
        [row] = rows(tmp_path / name)
        assert 0 < float(row["malignant_probability"]) < 1
        assert (row["calibrated_probability"], row["decision"], row["operating_point"]) == (
            "", "", ""
        )  # fmt: skip
        assert row["no_decision"] == "flips_not_evaluated"
    score(evaluated, [image], tmp_path / "s.json", ScoreOptions(flips=True))
    result = json.loads((tmp_path / "s.json").read_text())
    assert result["images"][0]["calibrated_probability"] is None
    assert result["model"]["no_decision"] == "flips_not_evaluated"
    assert result["model"]["members"][0]["flips_evaluated"] is False
    score(evaluated, [image], tmp_path / "s.parquet", ScoreOptions(flips=True))
    import pandas as pd

    assert pd.read_parquet(tmp_path / "s.parquet")["calibrated_probability"].isna().all()


@pytest.mark.parametrize("flips", [None, False])
def test_the_evaluated_flips_decide(evaluated, image, tmp_path, flips):
    summary = score(evaluated, [image], tmp_path / "s.csv", ScoreOptions(flips=flips))
    assert summary.no_decision == ""
    for name in TABLES:
        [row] = rows(tmp_path / name)
        assert (row["decision"], row["no_decision"]) == ("positive", "")
        assert row["calibrated_probability"] != ""


def test_a_model_evaluated_with_flips_does_not_decide_without(make, image, tmp_path):
    flipped = make(EVALUATED.model_copy(update={"flips": True}))
    score(flipped, [image], tmp_path / "s.csv")
    assert rows(tmp_path / "s.csv")[0]["decision"] == "positive"
    score(flipped, [image], tmp_path / "s.csv", ScoreOptions(flips=False))
    assert rows(tmp_path / "s.csv")[0]["no_decision"] == "flips_not_evaluated"


def test_stored_rules_for_the_other_flips_decide(make, image, tmp_path):
    both = make(BOTH)
    for flips, decision, rules in ((False, "positive", PLAIN), (True, "negative", FLIPPED)):
        score(both, [image], tmp_path / "s.csv", ScoreOptions(flips=flips))
        for name in TABLES:
            [row] = rows(tmp_path / name)
            assert (row["decision"], row["no_decision"]) == (decision, "")
            calibrated = float(rules.calibration.apply(float(row["malignant_probability"])))
            assert float(row["calibrated_probability"]) == pytest.approx(calibrated, abs=5e-6)


def test_an_ensemble_with_one_member_of_other_flips_is_not_calibrated(
    evaluated, make, image, tmp_path
):
    flipped = make(EVALUATED.model_copy(update={"flips": True}))
    members = [evaluated, flipped]
    score(members, [image], tmp_path / "s.csv")
    [row] = rows(tmp_path / "s.csv")
    assert row["calibrated_probability"] != "" and row["no_decision"] == "several_models"
    score(members, [image], tmp_path / "s.csv", ScoreOptions(flips=True))
    [row] = rows(tmp_path / "s.csv")
    assert row["calibrated_probability"] == "" and row["no_decision"] == "flips_not_evaluated"


def test_an_operating_point_cannot_be_named_for_other_flips(evaluated, image, tmp_path):
    options = ScoreOptions(flips=True, operating_point="specificity-0.80")
    with pytest.raises(RecipeError, match="no operating point for these flips"):
        score(evaluated, [image], tmp_path / "s.csv", options)
    assert not (tmp_path / "s.csv").exists()


def test_a_package_without_rules_says_so(package, image, tmp_path):
    assert score(package, [image], tmp_path / "s.csv").no_decision == "no_operating_point"
    assert rows(tmp_path / "s.csv")[0]["no_decision"] == "no_operating_point"


def test_the_command_says_why_there_is_no_decision(evaluated, image, tmp_path):
    import typer
    from typer.testing import CliRunner

    from mammo_core.cli.score import score as command

    app = typer.Typer()
    app.command()(command)
    arguments = ["--model", str(evaluated.folder), str(image), "--out", str(tmp_path / "s.csv")]
    result = CliRunner().invoke(app, [*arguments, "--flips"])
    assert result.exit_code == 0
    assert "There is no decision and no calibrated probability" in result.output
    assert "no decision" not in CliRunner().invoke(app, arguments).output
