import csv
import hashlib

import numpy as np
import pytest

from mammo_core.dicom import read_image
from mammo_core.errors import ModelError, RecipeError
from mammo_core.imaging import to_full_range
from mammo_core.scoring import ScoreOptions, list_files, score
from mammo_core.scoring.tables import IMAGE_COLUMNS


@pytest.fixture
def tree(tmp_path, write):
    """Five images, three other files, and hidden files."""
    root = tmp_path / "images"
    write.dicom(root / "b/1.dcm", write.breast(1), laterality="L", view="CC")
    write.dicom(root / "b/2", write.breast(2), laterality="R", view="MLO")
    write.dicom(root / "a/3.dcm", write.breast(3, bits=16), bits=16, laterality="", view="")
    write.png(root / "a/4.png", write.breast(4, bits=16))
    write.png(root / "a/5.png", write.breast(5, bits=8))
    write.dicom(root / "b/ct.dcm", write.breast(6), modality="CT")
    (root / "a/notes.txt").write_text("not an image, with, commas\n")
    data = (root / "b/1.dcm").read_bytes()
    (root / "b/short.dcm").write_bytes(data[: len(data) // 2])
    (root / ".hidden").mkdir()
    (root / ".hidden/x.dcm").write_bytes(data)
    (root / ".DS_Store").write_bytes(b"x")
    return root


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_images_are_scored_and_other_files_are_rejected(tree, package, tmp_path, write):
    out = tmp_path / "out/scores.csv"
    counts = []
    summary = score(package, [tree], out, ScoreOptions(batch_size=2), progress=counts.append)
    assert (summary.files, summary.scored, summary.rejected) == (8, 5, 3)
    assert sum(counts) == 8
    scored = rows(out)
    assert tuple(scored[0]) == IMAGE_COLUMNS
    assert [(row["path"], row["laterality"], row["view"]) for row in scored] == [
        ("a/3.dcm", "", ""),
        ("a/4.png", "", ""),
        ("a/5.png", "", ""),
        ("b/1.dcm", "LEFT", "CC"),
        ("b/2", "RIGHT", "MLO"),
    ]
    for row in scored:
        path = tree / row["path"]
        assert row["id"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert row["model_id"] == package.model_id
        image = read_image(path)
        full = to_full_range(image.pixels, image.facts.bits_stored)
        alone = package.predict(package.preprocessing.to_geometry(full)[np.newaxis])
        assert float(row["malignant_probability"]) == pytest.approx(alone[0], abs=2e-6)
    assert len({row["malignant_probability"] for row in scored}) == 5

    assert summary.rejects == tmp_path / "out/scores.rejects.csv"
    rejected = {row["path"]: row["reason"] for row in rows(summary.rejects)}
    assert set(rejected) == {"a/notes.txt", "b/ct.dcm", "b/short.dcm"}
    assert "CT" in rejected["b/ct.dcm"]
    for path in (out, summary.rejects):
        text = path.read_text()
        assert write.patient not in text and str(tmp_path) not in text
    names = {"scores.csv", "scores.breasts.csv", "scores.patients.csv", "scores.rejects.csv"}
    assert {path.name for path in out.parent.iterdir()} == names


def test_repeated_runs_give_the_same_bytes(tree, package, tmp_path):
    first, second = tmp_path / "1.csv", tmp_path / "2.csv"
    score(package, [tree], first, ScoreOptions(batch_size=3))
    score(package, [tree], second, ScoreOptions(batch_size=3))
    assert first.read_bytes() == second.read_bytes()
    score(package, [tree], second, ScoreOptions(batch_size=1))
    for first_row, second_row in zip(rows(first), rows(second), strict=True):
        assert first_row["path"] == second_row["path"]
        assert float(first_row["malignant_probability"]) == pytest.approx(
            float(second_row["malignant_probability"]), abs=2e-6
        )


def test_rejects_are_written_even_if_there_are_none(package, tmp_path, write):
    path = write.dicom(tmp_path / "x.dcm", write.breast())
    summary = score(package, [path], tmp_path / "s.csv")
    assert summary.rejects.read_text() == "path,reason\n"
    assert rows(summary.out)[0]["path"] == "x.dcm"


def test_outputs_of_the_last_run_are_not_scored(package, tmp_path, write):
    write.dicom(tmp_path / "x.dcm", write.breast())
    for _ in range(2):
        assert score(package, [tmp_path], tmp_path / "s.csv").files == 1


def test_a_path_given_twice_is_scored_once(tree):
    files = list_files([tree / "b", tree, tree / "b/1.dcm"])
    assert [file.name for file in files[:4]] == ["1.dcm", "2", "ct.dcm", "short.dcm"]
    assert len(files) == 8
    assert list_files([*files, tree]) == files
    assert list_files([tree / "b/1.dcm"])[0].name == "1.dcm"


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_paths_without_files_are_rejected(package, tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecipeError) as caught:
        score(package, [tmp_path / name], tmp_path / "s.csv")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "s.csv").exists()


@pytest.mark.parametrize("fault", [OSError("disk"), ModelError("x", expected="y", received="z")])
def test_other_faults_fail_the_run_and_keep_the_old_scores(tree, package, tmp_path, fault):
    out = tmp_path / "s.csv"
    score(package, [tree], out)
    before = out.read_bytes()
    calls = []

    def fails(count):
        calls.append(count)
        raise fault

    with pytest.raises(type(fault)):
        score(package, [tree / "a"], out, ScoreOptions(batch_size=1), progress=fails)
    assert calls and out.read_bytes() == before
    assert not list(tmp_path.glob(".*.part"))


def test_a_failing_disk_is_not_a_reject(tree, package, tmp_path, monkeypatch):
    def fails(path, name, **_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("mammo_core.scoring.images.read_image", fails)
    with pytest.raises(OSError, match="Input/output"):
        score(package, [tree], tmp_path / "s.csv")
    assert not (tmp_path / "s.csv").exists()


def test_an_empty_batch_size_is_rejected(tree, package, tmp_path):
    with pytest.raises(RecipeError, match="batch size"):
        score(package, [tree], tmp_path / "s.csv", ScoreOptions(batch_size=0))
