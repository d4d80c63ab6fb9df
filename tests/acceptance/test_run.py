"""`mammo accept` on image files, and the record in `score` and `serve`."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from mammo_core.acceptance.kinds import ACCEPTANCE
from mammo_core.acceptance.record import RECORD, open_site_rules, read_record, today
from mammo_core.cli import create_app as create_command
from mammo_core.errors import ModelError, RecipeError
from mammo_core.evaluation.decisions import DecisionRules, LevelRules, NamedPoint
from mammo_core.imaging import distribution_of, measure_gray_levels
from mammo_core.imaging.plausibility import DISTRIBUTED
from mammo_core.packaging import TrainingData, load
from mammo_core.packaging.patient_list import patient_list
from mammo_core.scoring import ScoreOptions, score
from mammo_core.scoring.model import ScoringModel
from mammo_core.serving import ServeConfig
from mammo_core.serving.app import create_app
from mammo_core.store import open_store
from tests.support.drawings import draw_breast
from tests.support.packages import build_small

#: Patients with cancer, and others; each has one image.
MALIGNANT, BENIGN = 25, 35
KEY = "a-site-key-that-is-long-enough-for-tests"
COMMAND = create_command()


def run(*arguments):
    return CliRunner().invoke(COMMAND, [str(argument) for argument in arguments])


def write_site(folder, curve=lambda pixels: pixels):
    """Write the images of a site, one PNG a patient."""
    import cv2

    folder.mkdir()
    for number in range(MALIGNANT + BENIGN):
        pixels = curve(draw_breast(number, bits=16))
        cv2.imwrite(str(folder / f"{number:03d}.png"), pixels)
    return folder


def write_table(path, scores, swapped=False):
    """Write labels that the scores mostly agree with; return the table."""
    order = sorted(scores, key=scores.get, reverse=True)
    malignant = {name for at, name in enumerate(order) if at < MALIGNANT + 4 and at % 7 != 3}
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image_path", "patient_id", "laterality", "view", "label"])
        for name in sorted(scores):
            label = int((name in malignant) != swapped)
            rows.writerow([name, f"P{name[:3]}", "L", "CC", label])
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A model with the gray levels of its training images, and the cases of a site."""
    root = tmp_path_factory.mktemp("site")
    patch = pytest.MonkeyPatch()
    patch.setenv("MAMMO_SITE_KEY", KEY)
    measures = [measure_gray_levels(draw_breast(seed, bits=16), 16) for seed in range(500, 560)]
    levels = {name: [getattr(each, name) for each in measures] for name in DISTRIBUTED}
    point = NamedPoint(name="specificity-0.80", threshold=0.5, sensitivity=0.7, specificity=0.8)
    rules = LevelRules(operating_points=(point,))
    package = build_small(
        root / "package",
        rules=DecisionRules(image=rules, breast=rules, patient=rules),
        training_data=TrainingData(views=("CC",), gray_levels=distribution_of(levels)),
        metrics={"auc": 0.9, "breast_auc": 0.9, "patient_auc": 0.9},
    )
    images = write_site(root / "images")
    out = root / "scores.json"
    score(load(package), [images], out)
    scores = {
        row["path"]: row["malignant_probability"] for row in json.loads(out.read_text())["images"]
    }
    table = write_table(root / "cases.csv", scores)
    result = run(
        *("accept", "--model", package, "--cases", table, "--images", images),
        *("--site-name", "Clinic", "--out", root / "record", "--store", (root / "store").as_uri()),
        *("--false-alarm-rate", "0.2", "--margin", "0.2"),
    )
    yield SimpleNamespace(
        root=root, package=package, images=images, table=table, scores=scores, result=result
    )
    patch.undo()


def test_a_model_is_accepted_and_everything_is_written(site):
    assert site.result.exit_code == 0, site.result.output
    assert "small-1 is accepted by Clinic" in site.result.output
    record = read_record(str(site.root / "record"))
    assert record.accepted and record.cases.images == MALIGNANT + BENIGN
    assert record.cases.unknown == ("the package has no list of the patients it was fitted to",)
    assert record.rules.model_id == load(site.package).model_id
    page = (site.root / "record" / "report.html").read_text()
    assert "Clinic can use small-1" in page and page.count("data:image/png") == 4
    rows = list(csv.DictReader((site.root / "record" / "cases.csv").open()))
    # The same scores as those of `mammo score`.
    assert sorted(round(float(row["probability"]), 6) for row in rows) == sorted(
        site.scores.values()
    )
    for file in (site.root / "record").iterdir():
        assert not any(f"P{n:03d}" in file.read_text() for n in range(3)), file


def test_the_record_is_an_output_of_the_store(site):
    store = open_store((site.root / "store").as_uri())
    (line,) = [line for line in site.result.output.splitlines() if line.startswith("published: ")]
    output = line.removeprefix("published: ")
    manifest = ACCEPTANCE.read(store, output.rpartition("/")[2])
    assert [file.name for file in manifest.files] == ["cases.parquet", "record.json", "report.html"]
    facts = ACCEPTANCE.facts_of(manifest)
    assert facts.accepted and facts.site == "Clinic" and facts.signed_by == "unsigned"
    rules = open_site_rules(f"{store.uri}/{output}")
    assert rules == read_record(str(site.root / "record")).rules


def test_a_folder_that_is_there_is_not_written_again(site):
    result = run(
        *("accept", "--model", site.package, "--cases", site.table, "--images", site.images),
        *("--site-name", "Clinic", "--out", site.root / "record"),
    )
    assert isinstance(result.exception, RecipeError) and "a new folder" in str(result.exception)


@pytest.mark.parametrize(
    ("option", "value"), [("--miss-rate", "0"), ("--prevalence", "1"), ("--calibration", "mine")]
)
def test_requirements_that_cannot_be_used_are_named(site, tmp_path, option, value):
    result = run(
        *("accept", "--model", site.package, "--cases", site.table, "--site-name", "Clinic"),
        *("--out", tmp_path / "out", option, value),
    )
    assert isinstance(result.exception, RecipeError) and option in str(result.exception)


def test_swapped_labels_are_not_accepted_and_the_record_is_refused(site, tmp_path):
    table = write_table(tmp_path / "swapped.csv", site.scores, swapped=True)
    result = run(
        *("accept", "--model", site.package, "--cases", table, "--images", site.images),
        *("--site-name", "Clinic", "--out", tmp_path / "out"),
    )
    assert result.exit_code == 1
    assert "NOT passed: discrimination" in result.output
    assert "were the labels swapped?" in result.output
    page = (tmp_path / "out" / "report.html").read_text()
    assert "cannot use small-1" in page
    with pytest.raises(ModelError, match="did not accept"):
        open_site_rules(str(tmp_path / "out"))


def test_another_gray_curve_is_not_accepted(site, tmp_path):
    """The curve of a system that shows tissue far darker."""

    def darker(pixels):
        return (65535 * (pixels / 65535.0) ** 4).astype(np.uint16)

    images = write_site(tmp_path / "images", darker)
    result = run(
        *("accept", "--model", site.package, "--cases", site.table, "--images", images),
        *("--site-name", "Clinic", "--out", tmp_path / "out"),
    )
    assert result.exit_code == 1, result.output
    record = read_record(str(tmp_path / "out"))
    (check,) = [check for check in record.checks if check.name == "gray levels"]
    assert not check.passed and "outside_training" in check.received
    assert "NOT passed: gray levels" in result.output


def test_patients_whom_the_model_was_fitted_to_are_left_out(site, tmp_path):
    from mammo_core.acceptance.cases import fitted_patients, read_cases
    from mammo_core.packaging import verify
    from mammo_core.sources.config import SourceConfig

    config = SourceConfig(adapter="table", root=str(site.images), tables=str(site.table))
    tables = read_cases(config, load(site.package))
    known = tables.images.iloc[:3].assign(split=["train", "validation", "test"])
    listed = patient_list("f" * 32, known)
    folder = build_small(tmp_path / "package", seed=2, patients=listed)
    fitted, unknown = fitted_patients(tables.images, verify(folder))
    assert fitted == frozenset(known["patient_key"][:2]) and not unknown


def test_a_model_of_breasts_is_accepted_per_breast_and_patient(tmp_path, monkeypatch, two_views):
    import cv2

    from mammo_core.acceptance.assess import assess
    from mammo_core.acceptance.cases import read_cases, score_cases
    from mammo_core.acceptance.config import AcceptanceConfig
    from mammo_core.acceptance.run import accepted_model
    from mammo_core.packaging import verify
    from mammo_core.sources.config import SourceConfig

    monkeypatch.setenv("MAMMO_SITE_KEY", KEY)
    lines = ["image_path,patient_id,laterality,view,label"]
    for number in range(6):
        for view in ("CC", "MLO"):
            name = f"{number}-{view}.png"
            cv2.imwrite(str(tmp_path / name), draw_breast(2 * number + (view == "CC"), bits=16))
            lines.append(f"{name},P{number},L,{view},{number % 2}")
    (tmp_path / "cases.csv").write_text("\n".join(lines))
    config = SourceConfig(adapter="table", root=str(tmp_path), tables=str(tmp_path / "cases.csv"))
    opened = verify(two_views.folder)
    scored = score_cases(read_cases(config, two_views), config, opened, two_views)
    assert scored.counts.images == 12 and scored.counts.exams == 6
    # Both images of a breast have its probability.
    assert scored.images.groupby("patient_key")["probability"].nunique().eq(1).all()
    result = assess(
        scored.images,
        scored.counts,
        accepted_model(opened, two_views),
        "Clinic",
        today(),
        AcceptanceConfig(replicates=100, miss_rate=0.25, false_alarm_rate=0.25),
    )
    assert [level.cases.level for level in result.levels] == ["breast", "patient"]
    assert result.levels[0].measures.n == 6
    model = ScoringModel.from_packages([two_views], site=result.rules)
    assert model.score_fields("breast", 0.0, 0.0, False)["triage"] == "low"


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 101])
def test_a_site_has_a_name(site, name):
    result = run("accept", "--model", site.package, "--cases", site.table, "--site-name", name)
    assert isinstance(result.exception, RecipeError) and "--site-name" in str(result.exception)


@pytest.fixture(scope="module")
def rules(site):
    return open_site_rules(str(site.root / "record"))


def rows_of(path):
    return list(csv.DictReader(path.open()))


def test_scores_have_the_site_s_calibration_threshold_and_triage(site, rules, tmp_path):
    out = tmp_path / "scores.csv"
    result = run(
        *("score", "--model", site.package, "--site", site.root / "record", "--require-site"),
        *(site.images, "--out", out),
    )
    assert result.exit_code == 0, result.output
    assert f"triage of Clinic, {rules.accepted_on}" in result.output
    plain = run("score", "--model", site.package, site.images, "--out", tmp_path / "plain.csv")
    assert plain.exit_code == 0
    before = rows_of(tmp_path / "plain.csv")
    assert "triage" not in before[0] and "site" not in before[0]
    groups = set()
    for row, other in zip(rows_of(out), before, strict=True):
        probability = float(row["malignant_probability"])
        assert probability == float(other["malignant_probability"])
        assert row["site"] == "Clinic"
        groups.add(row["triage"])
        if abs(probability - rules.triage["image"].low) > 1e-6:
            assert row["triage"] == rules.group("image", probability)
        assert float(row["calibrated_probability"]) == pytest.approx(
            rules.rules.image.calibration.apply([probability])[0], abs=1e-5
        )
        point = rules.rules.image.operating_points[0]
        assert row["operating_point"] == point.name
        assert row["decision"] == ("positive" if probability >= point.threshold else "negative")
    assert len(groups) > 1


def test_json_and_parquet_have_the_site_too(site, rules, tmp_path):
    options = ScoreOptions(site=rules)
    package = load(site.package)
    score(package, [site.images / "000.png"], tmp_path / "a.json", options)
    document = json.loads((tmp_path / "a.json").read_text())
    assert document["model"]["site"] == {
        "site": "Clinic",
        "accepted_on": rules.accepted_on.isoformat(),
    }
    assert document["images"][0]["triage"] in ("low", "unsure", "high")
    score(package, [site.images / "000.png"], tmp_path / "a.parquet", options)
    import pandas as pd

    table = pd.read_parquet(tmp_path / "a.parquet")
    assert list(table.columns[-2:]) == ["triage", "site"]


def test_flips_that_the_site_did_not_accept_have_no_decision_and_no_triage(site, rules, tmp_path):
    options = ScoreOptions(site=rules, flips=True)
    score(load(site.package), [site.images / "000.png"], tmp_path / "a.json", options)
    (row,) = json.loads((tmp_path / "a.json").read_text())["images"]
    assert row["no_decision"] == "flips_not_evaluated"
    assert row["triage"] == "" and row["calibrated_probability"] is None


def test_images_unlike_the_training_images_have_no_triage(site, rules, tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "x.png"), 65535 - draw_breast(0, bits=16))
    score(load(site.package), [tmp_path / "x.png"], tmp_path / "a.json", ScoreOptions(site=rules))
    (row,) = json.loads((tmp_path / "a.json").read_text())["images"]
    assert row["no_decision"] == "unlike_training" and row["triage"] == ""


@pytest.mark.parametrize("command", ["score", "serve"])
def test_without_a_record_require_site_refuses(site, command):
    arguments = [site.images] if command == "score" else []
    result = run(command, "--model", site.package, "--require-site", *arguments)
    assert isinstance(result.exception, RecipeError)
    assert "No site has accepted this model" in str(result.exception)


@pytest.mark.parametrize("command", ["score", "serve"])
def test_another_model_is_refused(site, tmp_path, command):
    other = build_small(tmp_path / "other", seed=7)
    arguments = [site.images / "000.png"] if command == "score" else ["--port", "0"]
    result = run(command, "--model", other, "--site", site.root / "record", *arguments)
    assert isinstance(result.exception, ModelError)
    assert "accepted another model" in result.exception.problem
    assert "small-1" in result.exception.expected and "small-7" in result.exception.received


def test_a_site_accepts_one_model_not_two(site, rules, tmp_path):
    packages = [load(site.package), load(build_small(tmp_path / "other", seed=8))]
    with pytest.raises(RecipeError, match="accepted one model"):
        ScoringModel.from_packages(packages, site=rules)


def test_a_tampered_record_is_refused(site, tmp_path):
    document = json.loads((site.root / "record" / RECORD).read_text())
    document["rules"]["site"] = "Elsewhere"
    (tmp_path / RECORD).write_text(json.dumps(document))
    result = run("score", "--model", site.package, "--site", tmp_path / RECORD, site.images)
    assert isinstance(result.exception, ModelError) and "was changed" in str(result.exception)


def test_answers_of_a_server_have_the_site(site, rules):
    model = ScoringModel.from_packages([load(site.package)], site=rules)
    data = (site.images / "003.png").read_bytes()
    with TestClient(
        create_app(model, "m", "1", ServeConfig()), base_url="http://127.0.0.1"
    ) as client:
        answer = client.post("/score", content=data, headers={"content-type": "image/png"}).json()
        probability = answer["malignant_probability"]
        assert answer["site"] == "Clinic"
        assert answer["triage"] == rules.group("image", probability)
        schema = client.get("/openapi.json").json()["components"]["schemas"]["Score"]
        assert schema["properties"]["triage"]["enum"] == ["low", "unsure", "high", ""]
        assert client.get("/v2/models/m").json()["parameters"]["site"] == "Clinic"
        import base64

        tensor = {"name": "image", "datatype": "BYTES", "shape": [1]}
        tensor["data"] = [base64.b64encode(data).decode()]
        result = client.post("/v2/models/m/infer", json={"inputs": [tensor]}).json()
        assert result["parameters"]["site"] == "Clinic"
        assert json.loads(result["parameters"]["triage"]) == [answer["triage"]]
        calibrated = result["outputs"][1]["data"][0]
        assert calibrated == pytest.approx(answer["calibrated_probability"], abs=1e-5)


def test_without_a_site_answers_are_as_before(site):
    model = ScoringModel.from_packages([load(site.package)])
    data = (site.images / "003.png").read_bytes()
    with TestClient(
        create_app(model, "m", "1", ServeConfig()), base_url="http://127.0.0.1"
    ) as client:
        answer = client.post("/score", content=data, headers={"content-type": "image/png"}).json()
    assert not {"site", "triage"} & answer.keys()
    assert "site" not in model.describe()
