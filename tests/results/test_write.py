"""`mammo score --dicom-out`: from files to DICOM objects."""

import csv
import json
import os

import cv2
import numpy as np
import pytest
import typer
from pydicom import dcmread
from typer.testing import CliRunner

from mammo_core.cli.score import score as score_command
from mammo_core.errors import RecipeError
from mammo_core.packaging import load
from mammo_core.results import write_results
from mammo_core.scoring import ScoreOptions, score
from tests.support.drawings import draw_breast
from tests.support.exam_results import BEGAN, PATIENT, write_image
from tests.support.packages import build_small, build_two_views

app = typer.Typer()
app.command("score")(score_command)
TIME = ("--dicom-time", BEGAN)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def objects(folder):
    return [dcmread(folder / row["file"]) for row in rows(folder / "results.csv")]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build_small(tmp_path_factory.mktemp("model") / "package")


@pytest.fixture
def exams(tmp_path):
    """Two exams whose files are mixed, a picture, and a file without UIDs."""
    folder = tmp_path / "in"
    number = 0
    for view in ("CC", "MLO"):
        for study in ("2.25.1001", "2.25.1002"):
            for side in "LR":
                number += 1
                write_image(
                    folder / f"{number}.dcm",
                    number,
                    laterality=side,
                    view=view,
                    study=study,
                    patient=f"P{study}",
                )
    write_image(folder / "no.dcm", 90, SeriesInstanceUID=None)
    return folder


def test_each_exam_has_one_object(model, exams, tmp_path):
    out = tmp_path / "dicom"
    arguments = ("--model", model, exams, "--out", tmp_path / "s.csv", "--dicom-out", out, *TIME)
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    assert "DICOM results: 2 objects about 8 images" in done.output
    assert "1 images have none" in done.output
    documents = objects(out)
    assert [str(one.StudyInstanceUID) for one in documents] == ["2.25.1001", "2.25.1002"]
    assert [str(one.PatientID) for one in documents] == ["P2.25.1001", "P2.25.1002"]
    for document, referenced in zip(documents, ([1, 2, 5, 6], [3, 4, 7, 8]), strict=True):
        [study] = document.CurrentRequestedProcedureEvidenceSequence
        uids = [one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
                for one in study.ReferencedSeriesSequence]  # fmt: skip
        assert uids == [f"2.25.3{number}" for number in referenced]
        assert str(document.PatientName) == PATIENT
        assert (document.ContentDate, document.ContentTime) == ("20261130", "093015")
    [reject] = rows(out / "results.rejects.csv")
    assert reject["path"] == "no.dcm" and "SeriesInstanceUID" in reject["reason"]
    assert out.stat().st_mode & 0o777 == 0o700
    # The same again gives the same, although the results lie beside the images now.
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert run(*arguments).exit_code == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_no_table_and_no_list_names_a_patient(model, exams, tmp_path):
    out = exams / "dicom"  # below the images
    arguments = ("--model", model, exams, "--out", tmp_path / "s.csv", "--dicom-out", out)
    first = run(*arguments, "--explain")
    assert "9 scored, 0 rejected of 9 files" in first.output, first.output
    assert "9 scored, 0 rejected of 9 files" in run(*arguments, "--explain").output
    for path in [*tmp_path.glob("s*.csv"), *out.glob("*.csv")]:
        text = path.read_text()
        for planted in ("Yamada", "P2.25", "2.25.1001", "Referrer", "19600101"):
            assert planted not in text and planted not in first.output
    assert {row["exam"] for row in rows(out / "results.csv")} == {"exam-1", "exam-2"}
    columns = rows(tmp_path / "s.regions.csv")[0].keys()
    assert "outline" not in columns and "location" not in columns


def test_findings_are_about_the_images_they_were_found_in(model, exams, tmp_path):
    out = tmp_path / "dicom"
    done = run(
        "--model", model, exams, "--out", tmp_path / "s.json", "--dicom-out", out, "--explain"
    )
    assert done.exit_code == 0 and "outline" not in (tmp_path / "s.json").read_text()
    assert sum(int(row["findings"]) for row in rows(out / "results.csv")) > 0
    for document in objects(out):
        groups = document.ContentSequence[-1].ContentSequence
        for group in groups:
            regions = [one for one in group.ContentSequence if one.ValueType == "SCOORD"]
            for region in regions:
                points = np.array(region.GraphicData).reshape(-1, 2)
                assert points.min() >= 0 and (points <= (72, 96)).all()


def test_a_network_without_patches_has_findings_on_request_only(model, exams, tmp_path):
    out = tmp_path / "dicom"
    run("--model", model, exams, "--out", tmp_path / "s.csv", "--dicom-out", out)
    assert {row["findings"] for row in rows(out / "results.csv")} == {"0"}


def test_pictures_copies_and_changed_files_have_no_result(model, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "dicom"
    write_image(folder / "a.dcm", 1)
    (folder / "b.dcm").write_bytes((folder / "a.dcm").read_bytes())
    write_image(folder / "c.dcm", 3, view="MLO")
    cv2.imwrite(str(folder / "d.png"), draw_breast(3))

    kept = []

    def deliver(delivery):
        os.utime(folder / "c.dcm", ns=(1, 1))
        kept.append(write_results(delivery, out, {}))

    score(load(model), [folder], tmp_path / "s.csv", ScoreOptions(), deliver=deliver)
    [summary] = kept
    assert (summary.objects, summary.images, summary.rejected) == (1, 1, 3)
    reasons = {row["path"]: row["reason"] for row in rows(summary.rejects)}
    assert "is in its exam already" in reasons["b.dcm"]
    assert "changed after it was scored" in reasons["c.dcm"]
    assert "not a DICOM file" in reasons["d.png"]


def test_a_run_whose_results_failed_scores_nothing_again(model, exams, tmp_path):
    package = load(model)

    def fail(delivery):
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        score(package, [exams], tmp_path / "s.csv", ScoreOptions(), deliver=fail)
    began = []
    summary = score(
        package,
        [exams],
        tmp_path / "s.csv",
        ScoreOptions(),
        deliver=lambda delivery: began.append(delivery.began),
    )
    assert summary.resumed == 9 and len(began) == 1


def test_options_that_cannot_be_used_are_refused(model, exams, tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    for options in (
        ("--dicom-out", file),
        ("--dicom-time", BEGAN),
        ("--dicom-out", tmp_path / "o", "--dicom-time", "2026-11-30T09:30:15"),
        ("--dicom-out", tmp_path / "o", "--dicom-time", "yesterday"),
    ):
        done = run("--model", model, exams, "--out", tmp_path / "s.csv", *options)
        assert isinstance(done.exception, RecipeError), options


def test_a_model_of_both_views_and_the_range_of_several(exams, tmp_path):
    models = [build_two_views(tmp_path / f"m{seed}", seed, name=f"m{seed}") for seed in (1, 2)]
    out = tmp_path / "dicom"
    named = [word for model in models for word in ("--model", model)]
    done = run(*named, exams, "--out", tmp_path / "s.json", "--dicom-out", out, *TIME)
    assert done.exit_code == 0, done.output
    assert [row["path"] for row in rows(out / "results.rejects.csv")] == ["no.dcm"]
    document = objects(out)[0]
    groups = {}
    for group in document.ContentSequence[-1].ContentSequence:
        items = {one.ConceptNameCodeSequence[0].CodeMeaning: one for one in group.ContentSequence}
        groups.setdefault(items["Tracking Identifier"].TextValue.split(" ")[0], []).append(items)
    assert len(groups["exam"]) == 1 and len(groups["LEFT"]) == len(groups["RIGHT"]) == 1
    assert "image" not in groups  # every image has the score of its breast
    assert groups["exam"][0]["Algorithm Name"].TextValue.count("m1") == 1
    scores = json.loads((tmp_path / "s.json").read_text())["breasts"]
    by_side = {row["laterality"]: row for row in scores if row["patient"] == "patient-1"}
    for side in ("LEFT", "RIGHT"):
        [items] = groups[side]
        measured = items["Probability of cancer"]
        value = measured.MeasuredValueSequence[0].NumericValue
        assert float(value) == pytest.approx(
            100 * by_side[side]["calibrated_probability"], abs=1e-3
        )
        above, below = (
            float(one.MeasuredValueSequence[0].NumericValue) for one in measured.ContentSequence
        )
        # Two models of equal weight lie as far above their mean as below.
        assert above == pytest.approx(below, abs=2e-4) and above > 0
