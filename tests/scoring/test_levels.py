"""Breasts and patients, formats, decisions, ensembles, resuming."""

import csv
import json

import numpy as np
import pandas as pd
import pytest

from mammo_core.errors import RecipeError, RecordError
from mammo_core.evaluation.decisions import DecisionRules, LevelRules, NamedPoint
from mammo_core.metrics import Calibration
from mammo_core.packaging import TrainingData, load
from mammo_core.scoring import ScoreOptions, score
from mammo_core.scoring.model import ScoringModel

POINT = NamedPoint(name="specificity-0.80", threshold=0.5, sensitivity=0.7, specificity=0.8)
LEVEL = LevelRules(
    calibration=Calibration(method="platt", slope=0.5, intercept=-1.0), operating_points=(POINT,)
)


@pytest.fixture(scope="module")
def package_with_rules(tmp_path_factory, make_package):
    """A package with calibration, an operating point and its training data."""
    folder = tmp_path_factory.mktemp("package_with_rules") / "package"
    make_package(
        folder,
        rules=DecisionRules(image=LEVEL, breast=LEVEL, patient=LEVEL),
        training_data=TrainingData(
            views=("CC",), manufacturers=("hologic",), bits_stored=(12,), smallest=(96, 72)
        ),
    )
    return load(folder)


@pytest.fixture
def exam(tmp_path, write):
    """A patient with four views, a patient with one view, and a file without a patient."""
    root = tmp_path / "exam"
    for number, (side, view) in enumerate((("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"))):
        name = f"a/{side}{view}.dcm"
        write.dicom(root / name, write.breast(number), laterality=side, view=view, patient="A")
    write.dicom(root / "b.dcm", write.breast(7), laterality="L", view="CC", patient="B")
    write.png(root / "c.png", write.breast(8, bits=16))
    return root


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_scores_are_aggregated_to_breasts_and_patients(
    package_with_rules, exam, tmp_path, monkeypatch
):
    monkeypatch.setenv("MAMMO_SITE_KEY_FILE", str(tmp_path / "none"))
    out = tmp_path / "s.csv"
    summary = score(package_with_rules, [exam], out)
    images = {row["path"]: row for row in rows(out)}
    assert summary.without_patient == 1 and images["c.png"]["patient"] == ""
    # Numbered in the order of their images, because there is no site key.
    assert images["a/LCC.dcm"]["patient"] == "patient-1"
    assert images["b.dcm"]["patient"] == "patient-2"
    p = {name: float(row["malignant_probability"]) for name, row in images.items()}
    breasts = {(row["patient"], row["laterality"]): row for row in rows(tmp_path / "s.breasts.csv")}
    assert set(breasts) == {
        ("patient-1", "LEFT"),
        ("patient-1", "RIGHT"),
        ("patient-2", "LEFT"),
    }
    left, right = (breasts["patient-1", side] for side in ("LEFT", "RIGHT"))
    assert (left["views"], left["images"]) == ("2", "2")
    assert float(left["malignant_probability"]) == pytest.approx(
        (p["a/LCC.dcm"] + p["a/LMLO.dcm"]) / 2, abs=2e-6
    )
    [first, second] = rows(tmp_path / "s.patients.csv")
    assert (first["patient"], first["breasts"], first["images"]) == ("patient-1", "2", "4")
    assert float(first["malignant_probability"]) == pytest.approx(
        max(float(left["malignant_probability"]), float(right["malignant_probability"])), abs=2e-6
    )
    assert second["breasts"] == "1"


def test_scores_are_calibrated_and_decided(package_with_rules, exam, tmp_path):
    out = tmp_path / "s.csv"
    score(package_with_rules, [exam], out)
    for table in ("s.csv", "s.breasts.csv", "s.patients.csv"):
        for row in rows(tmp_path / table):
            probability = float(row["malignant_probability"])
            logit = np.log(probability / (1 - probability))
            expected = 1 / (1 + np.exp(-(0.5 * logit - 1)))
            assert float(row["calibrated_probability"]) == pytest.approx(expected, abs=2e-5)
            assert row["operating_point"] == "specificity-0.80"
            assert row["decision"] == ("positive" if probability >= 0.5 else "negative")


def test_images_outside_the_training_data_have_warnings(package_with_rules, exam, tmp_path, write):
    write.dicom(exam / "small.dcm", write.breast(shape=(64, 64)), view="")
    score(package_with_rules, [exam], tmp_path / "s.csv")
    warnings = {row["path"]: row["warnings"] for row in rows(tmp_path / "s.csv")}
    assert "view MLO is outside the training data" in warnings["a/LMLO.dcm"]
    assert "vendor unknown" in warnings["a/LCC.dcm"] and "view" not in warnings["a/LCC.dcm"]
    assert "view unknown" in warnings["c.png"] and "laterality unknown" in warnings["c.png"]
    assert "view unknown" in warnings["small.dcm"]


def test_low_resolution_and_missing_training_data_give_warnings(package, tmp_path, write):
    tall = package.preprocessing.geometry.height
    assert tall == 48
    from mammo_core.dicom import read_facts
    from mammo_core.preprocessing import Geometry
    from mammo_core.scoring.domain import domain_warnings

    facts = read_facts(write.dicom(tmp_path / "x.dcm", write.breast()))
    large = package.preprocessing.model_copy(update={"geometry": Geometry(height=97, width=36)})
    warnings = [item.message for item in domain_warnings(facts, TrainingData(), large)]
    assert "low resolution: 96x72 pixels are enlarged" in warnings
    assert "the package does not describe its training data" in warnings
    assert not any(
        "resolution" in warning.message
        for warning in domain_warnings(facts, TrainingData(), package.preprocessing)
    )


def test_json_and_parquet_equal_csv(package_with_rules, exam, tmp_path):
    score(package_with_rules, [exam], tmp_path / "s.csv")
    score(package_with_rules, [exam], tmp_path / "s.json")
    score(package_with_rules, [exam], tmp_path / "s.parquet")
    result = json.loads((tmp_path / "s.json").read_text())
    assert result["model"]["model_id"] == package_with_rules.model_id
    assert result["model"]["members"][0]["weight"] == 1
    for name, csv_name in (
        ("images", "s"),
        ("breasts", "s.breasts"),
        ("patients", "s.patients"),
    ):
        from_csv = rows(tmp_path / f"{csv_name}.csv")
        from_parquet = pd.read_parquet(tmp_path / f"{csv_name}.parquet").to_dict("records")
        assert len(from_csv) == len(result[name]) == len(from_parquet) > 0
        for csv_row, json_row, parquet_row in zip(
            from_csv, result[name], from_parquet, strict=True
        ):
            assert list(csv_row) == list(parquet_row)
            for column in ("malignant_probability", "calibrated_probability"):
                assert float(csv_row[column]) == json_row[column] == parquet_row[column]
            assert csv_row["decision"] == json_row["decision"] == parquet_row["decision"]
    assert result["images"][0]["warnings"] == [
        {"code": "vendor_unknown", "message": "vendor unknown"}
    ]
    assert (tmp_path / "s.rejects.csv").read_text() == "path,reason\n"
    assert not (tmp_path / "s.breasts.json").exists()


@pytest.mark.parametrize("name", ["s.txt", "s", "s.xlsx"])
def test_other_formats_are_rejected(package, exam, tmp_path, name):
    with pytest.raises(RecipeError, match=r"\.csv, \.json, \.parquet"):
        score(package, [exam], tmp_path / name)


def test_an_ensemble_averages_with_weights(package_with_rules, package, exam, tmp_path):
    score(package_with_rules, [exam], tmp_path / "1.csv")
    score([package_with_rules, package], [exam], tmp_path / "2.csv", ScoreOptions(weights=(3, 1)))
    alone = {row["path"]: row for row in rows(tmp_path / "1.csv")}
    for row in rows(tmp_path / "2.csv"):
        # The same network twice, but only one of the packages is calibrated.
        assert float(row["malignant_probability"]) == pytest.approx(
            float(alone[row["path"]]["malignant_probability"]), abs=2e-6
        )
        expected = (
            3 * float(alone[row["path"]]["calibrated_probability"])
            + float(row["malignant_probability"])
        ) / 4
        assert float(row["calibrated_probability"]) == pytest.approx(expected, abs=3e-6)
        assert row["model_id"] not in (package_with_rules.model_id, package.model_id)
        assert row["decision"] == ""
    with pytest.raises(RecipeError, match="operating point"):
        ScoringModel.from_packages([package_with_rules, package], point="specificity-0.80")
    with pytest.raises(RecipeError, match="weights"):
        ScoringModel.from_packages([package_with_rules, package], weights=[1])
    with pytest.raises(RecordError, match=r"specificity-0\.80"):
        ScoringModel.from_packages([package_with_rules], point="nonsense")


def test_flips_average_over_four_images(package, exam, tmp_path):
    score(package, [exam / "b.dcm"], tmp_path / "s.csv", ScoreOptions(flips=True))
    from mammo_core.dicom import read_image

    image = read_image(exam / "b.dcm")
    pixels = package.preprocessing.from_source(image.pixels, 12)
    views = [pixels, pixels[:, ::-1], pixels[::-1], pixels[::-1, ::-1]]
    expected = package.predict(np.stack(views)).mean()
    [row] = rows(tmp_path / "s.csv")
    assert float(row["malignant_probability"]) == pytest.approx(expected, abs=2e-6)


class Interruption(BaseException):
    pass


@pytest.mark.parametrize("batches", [1, 2, 5])
def test_an_interrupted_run_resumes_and_gives_the_same_bytes(package, exam, tmp_path, batches):
    whole, out = tmp_path / "whole.csv", tmp_path / "out/s.csv"
    options = ScoreOptions(batch_size=1)
    score(package, [exam], whole, options)
    calls = []

    def interrupt(count):
        calls.append(count)
        if len(calls) == batches:
            raise Interruption

    with pytest.raises(Interruption):
        score(package, [exam], out, options, progress=interrupt)
    assert not out.exists()
    # A line that was truncated by the kill does not count.
    [journal] = [path for path in out.parent.iterdir() if path.name.endswith(".journal")]
    assert journal.stat().st_mode & 0o077 == 0
    with journal.open("a") as file:
        file.write('{"files": [["b.d')
    summary = score(package, [exam], out, options)
    assert summary.resumed == batches
    assert out.read_bytes() == whole.read_bytes()
    assert not list(out.parent.glob(".*"))


def test_changed_files_and_options_are_scored_again(package, exam, tmp_path, write):
    out, options = tmp_path / "s.csv", ScoreOptions(batch_size=1)

    def interrupt(count):
        if not write.flag:
            write.flag.append(1)
            return
        raise Interruption

    write.flag = []
    with pytest.raises(Interruption):
        score(package, [exam], out, options, progress=interrupt)
    write.dicom(exam / "a/LCC.dcm", write.breast(99), laterality="L", view="CC")
    summary = score(package, [exam], out, options)
    assert summary.resumed == 0
    # Another option starts a new run.
    write.flag = []
    with pytest.raises(Interruption):
        score(package, [exam], out, options, progress=interrupt)
    assert score(package, [exam], out, ScoreOptions(batch_size=1, flips=True)).resumed == 0


def test_no_patient_reaches_any_output(package_with_rules, exam, tmp_path, write):
    write.dicom(exam / "d.dcm", write.breast(3), laterality="L", view="CC")
    for name in ("s.csv", "s.json"):
        score(package_with_rules, [exam], tmp_path / "out" / name)
    for path in (tmp_path / "out").rglob("*"):
        assert write.patient not in path.read_text()


@pytest.mark.s3
def test_a_bucket_gives_the_same_bytes_as_a_folder(package, exam, tmp_path, s3_environment):
    from mammo_core.store import open_store

    store = open_store("s3://mammo-tests/scoring")
    for path in sorted(exam.rglob("*.*")):
        store.put_file(path.relative_to(exam).as_posix(), path)
    score(package, [exam], tmp_path / "local.csv")
    score(package, [store.uri], tmp_path / "remote.csv")
    assert (tmp_path / "local.csv").read_bytes() == (tmp_path / "remote.csv").read_bytes()
    score(package, [f"{store.uri}/b.dcm"], tmp_path / "one.csv")
    assert len(rows(tmp_path / "one.csv")) == 1
    with pytest.raises(RecipeError, match="nothing to score"):
        score(package, [f"{store.uri}/none"], tmp_path / "none.csv")
