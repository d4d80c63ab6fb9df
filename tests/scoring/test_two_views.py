"""Scoring with models of both views of a breast."""

import csv
import hashlib
import json

import numpy as np
import pytest

from mammo_core.dicom import read_image
from mammo_core.errors import RecipeError
from mammo_core.packaging import load
from mammo_core.scoring import ScoreOptions, score
from mammo_core.scoring.files import InputFile
from mammo_core.scoring.patients import PatientKeys
from tests.support.packages import build_two_views

STUDY = "1.2.826.0.1.3680043.8.498.7"


@pytest.fixture
def exam(tmp_path, write):
    """Two patients, the second in two studies; files without a breast; and other files.

    The views of a breast are far apart in the list of files, and one view has two files.
    """
    root = tmp_path / "exam"

    def write_view(name, seed, side, view, patient, study="", **more):
        path = root / name
        write.dicom(
            path,
            write.breast(seed),
            laterality=side,
            view=view,
            patient=patient,
            study=study,
            **more,
        )

    write_view("a/1.dcm", 1, "L", "CC", "A", f"{STUDY}.1")
    write_view("a/2.dcm", 2, "R", "MLO", "A", f"{STUDY}.1")
    write_view("a/9.dcm", 3, "L", "CC", "A", f"{STUDY}.1")
    write_view("b/1.dcm", 4, "L", "MLO", "B", f"{STUDY}.2")
    write_view("b/2.dcm", 5, "L", "CC", "B", f"{STUDY}.3")
    write_view("z/1.dcm", 6, "L", "MLO", "A", f"{STUDY}.1")
    write_view("n/view.dcm", 7, "L", "", "A")
    write_view("n/spot.dcm", 7, "L", "CV", "A")
    write_view("n/side.dcm", 7, "", "CC", "A")
    write_view("n/ct.dcm", 7, "L", "CC", "A", modality="CT")
    write.dicom(root / "n/black.dcm", np.zeros((96, 72), np.uint16), laterality="R", patient="B")
    (root / "n/notes.txt").write_text("no image")
    write.png(root / "P_00001_LEFT_CC.png", write.breast(8, bits=16))
    write.png(root / "P_00001_LEFT_MLO.png", write.breast(9, bits=16))
    write.png(root / "mine_LEFT_CC.png", write.breast(10, bits=16))
    return root


BREASTS = {
    "a/1.dcm": ("a/1.dcm|a/9.dcm", "z/1.dcm"),
    "a/9.dcm": ("a/1.dcm|a/9.dcm", "z/1.dcm"),
    "z/1.dcm": ("a/1.dcm|a/9.dcm", "z/1.dcm"),
    "a/2.dcm": (None, "a/2.dcm"),
    "b/1.dcm": (None, "b/1.dcm"),
    "b/2.dcm": ("b/2.dcm", None),
    "P_00001_LEFT_CC.png": ("P_00001_LEFT_CC.png", "P_00001_LEFT_MLO.png"),
    "P_00001_LEFT_MLO.png": ("P_00001_LEFT_CC.png", "P_00001_LEFT_MLO.png"),
    "mine_LEFT_CC.png": ("mine_LEFT_CC.png", None),
}


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def first(root, names):
    """Return the file of a view with the first id."""
    return min((root / name for name in names.split("|")), key=digest)


def expected_probability(package, root, views):
    pair = np.zeros((2, 64, 48), np.uint16)
    for index, names in enumerate(views):
        if names is not None:
            image = read_image(first(root, names), mammogram=True)
            side = image.facts.laterality or "LEFT"
            pair[index] = package.preprocessing.from_source(
                image.pixels, image.facts.bits_stored, side
            )
    return float(package.predict(pair[np.newaxis])[0])


@pytest.mark.parametrize("size", [1, 8])
def test_every_image_has_the_probability_of_its_breast(two_views, exam, tmp_path, write, size):
    out = tmp_path / "s.csv"
    summary = score(two_views, [exam], out, ScoreOptions(batch_size=size))
    images = {row["path"]: row for row in rows(out)}
    assert set(images) == set(BREASTS)
    for name, views in BREASTS.items():
        expected = expected_probability(two_views, exam, views)
        row = images[name]
        # Other batches add in another order.
        same = pytest.approx(expected, abs=2e-6 if size == 1 else 2e-4)
        assert float(row["malignant_probability"]) == same
        assert row["id"] == digest(exam / name)
        # Decided by the rules for breasts.
        assert row["operating_point"] == "breast"
        assert row["decision"] == ("positive" if expected >= 0.4 else "negative")
    # Images of a breast are adjacent; breasts are in the order of their first files.
    paths = [row["path"] for row in rows(out)]
    assert paths.index("z/1.dcm") - paths.index("a/1.dcm") == 2
    used = first(exam, "a/1.dcm|a/9.dcm").name
    unused = {"1.dcm": "a/9.dcm", "9.dcm": "a/1.dcm"}[used]
    warned = {name for name, row in images.items() if "not used" in row["warnings"]}
    assert warned == {unused}
    alone = {name for name, row in images.items() if "scored without" in row["warnings"]}
    assert alone == {"a/2.dcm", "b/1.dcm", "b/2.dcm", "mine_LEFT_CC.png"}
    assert "scored without CC" in images["b/1.dcm"]["warnings"]

    rejected = {row["path"]: row["reason"] for row in rows(summary.rejects)}
    assert set(rejected) == {
        *("n/view.dcm", "n/spot.dcm", "n/side.dcm", "n/ct.dcm", "n/black.dcm", "n/notes.txt"),
    }
    assert "cannot be assigned to a breast" in rejected["n/view.dcm"]
    assert "view unknown" in rejected["n/view.dcm"]
    assert "on_request: view modifier cleavage" in rejected["n/spot.dcm"]
    assert "laterality unknown" in rejected["n/side.dcm"] and "CT" in rejected["n/ct.dcm"]
    assert "black" in rejected["n/black.dcm"]
    assert (summary.files, summary.scored, summary.rejected) == (15, 9, 6)
    for path in [*summary.written, summary.rejects]:
        text = path.read_text()
        assert write.patient not in text and STUDY not in text and str(tmp_path) not in text


def test_scores_are_aggregated_to_breasts_and_patients(two_views, exam, tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMO_SITE_KEY_FILE", str(tmp_path / "none"))
    score(two_views, [exam], tmp_path / "s.csv")
    images = {row["path"]: row for row in rows(tmp_path / "s.csv")}
    breasts = {(row["patient"], row["laterality"]): row for row in rows(tmp_path / "s.breasts.csv")}
    key = images["a/1.dcm"]["patient"]
    row = breasts[key, "LEFT"]
    assert (row["views"], row["images"], row["operating_point"]) == ("2", "3", "breast")
    assert row["malignant_probability"] == images["a/1.dcm"]["malignant_probability"]
    assert breasts["P_00001", "LEFT"]["images"] == "2"
    assert (key, "RIGHT") in breasts and breasts[key, "RIGHT"]["views"] == "1"
    patients = {row["patient"]: row for row in rows(tmp_path / "s.patients.csv")}
    higher = max(breasts[key, side]["malignant_probability"] for side in ("LEFT", "RIGHT"))
    assert patients[key]["malignant_probability"] == higher


def test_json_names_the_unit_of_a_probability(two_views, exam, tmp_path):
    out = tmp_path / "s.json"
    score(two_views, [exam], out)
    result = json.loads(out.read_text())
    assert result["model"]["unit"] == "breast" and result["model"]["operating_point"] == "breast"
    assert result["model"]["threshold"] == 0.4 and len(result["images"]) == 9


def test_an_interrupted_run_resumes_and_rescores_a_breast_with_a_new_view(
    two_views, exam, tmp_path, write
):
    out, whole = tmp_path / "s.csv", tmp_path / "whole.csv"
    options = ScoreOptions(batch_size=1)

    def interrupt_after(batches):
        calls = []

        def interrupt(count):
            calls.append(count)
            if len(calls) == batches:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            score(two_views, [exam], out, options, progress=interrupt)

    interrupt_after(4)
    score(two_views, [exam], whole, options)
    summary = score(two_views, [exam], out, options)
    assert summary.resumed > 0 and out.read_bytes() == whole.read_bytes()

    interrupt_after(4)
    # The first breast gets a view that is the last file.
    name = "zz/P_00001_LEFT_MLO.png"
    write.png(exam / name, write.breast(20, bits=16))
    summary = score(two_views, [exam], out, options)
    score(two_views, [exam], whole, options)
    assert out.read_bytes() == whole.read_bytes()
    assert name in {row["path"] for row in rows(out)}


def test_heatmaps_of_the_views_that_were_used(two_views, exam, tmp_path):
    options = ScoreOptions(heatmaps=tmp_path / "maps", explain=True)
    out = tmp_path / "s.csv"
    score(two_views, [exam / "a", exam / "b"], out, options)
    for row in rows(out):
        assert ("not used" in row["warnings"]) == (not row["heatmap"])
        assert not row["heatmap"] or (tmp_path / "maps" / row["heatmap"]).is_file()
    assert {row["kind"] for row in rows(tmp_path / "s.regions.csv")} <= {"occlusion"}


def test_several_models_of_two_views_are_averaged(two_views, package, exam, tmp_path):
    other = load(build_two_views(tmp_path / "other", seed=2))
    out = tmp_path / "s.csv"
    score([two_views, other], [exam], out, ScoreOptions(weights=(3, 1)))
    for row in rows(out):
        views = BREASTS[row["path"]]
        first_score, second_score = (
            expected_probability(model, exam, views) for model in (two_views, other)
        )
        expected = 0.75 * first_score + 0.25 * second_score
        assert float(row["malignant_probability"]) == pytest.approx(expected, abs=2e-4)
    with pytest.raises(RecipeError, match="two-views: breast"):
        score([package, two_views], [exam], out)


def test_images_of_cbis_ddsm_have_their_published_names(two_views, tmp_path, write, monkeypatch):
    """Its DICOM files have patient, side and view in the Patient ID; every image is a study."""
    monkeypatch.setenv("MAMMO_SITE_KEY_FILE", str(tmp_path / "none"))
    ids = (
        *("Calc-Test_P_00038_LEFT_CC", "Mass-Training_P_00038_LEFT_MLO"),
        *("Mass-Training_P_00038_LEFT_MLO_1", "P_00038", "X_LEFT_CC"),
    )
    keys = PatientKeys()
    identities = {}
    for number, name in enumerate(ids):
        path = tmp_path / f"tree/{number}/1-1.dcm"
        write.dicom(
            path,
            write.breast(number),
            patient=name,
            study=f"{STUDY}.{number}",
            laterality="",
            view="",
        )
        identity = keys.identify(path, "1-1.dcm")
        identities[name] = (identity.patient, identity.exam)
    assert list(identities.values())[:2] == [("P_00038", ""), ("P_00038", "")]
    for name in ids[2:]:  # a crop or mask; ids of a hospital that look like published ones
        patient, study = identities[name]
        assert len(patient) == len(study) == 20 and patient != study
        assert name not in patient + study
    summary = score(two_views, [tmp_path / "tree"], tmp_path / "s.csv")
    [cc, mlo] = rows(tmp_path / "s.csv")
    assert (cc["laterality"], cc["view"], mlo["view"]) == ("LEFT", "CC", "MLO")
    assert cc["malignant_probability"] == mlo["malignant_probability"]
    assert cc["patient"] == "P_00038" and "scored without" not in cc["warnings"]
    assert summary.rejected == 3 and "X_LEFT_CC" not in summary.rejects.read_text()


def test_a_long_header_in_a_bucket_is_read_completely(two_views, tmp_path, write):
    """Headers are read from the first 64 KiB of an object, or else from the whole object."""
    from contextlib import contextmanager

    from mammo_core.scoring.units import group_files

    complete = write.dicom(tmp_path / "x.dcm", write.breast(1), patient="A", study=STUDY)
    (tmp_path / "short.dcm").write_bytes(complete.read_bytes()[:400])

    class Source:
        @contextmanager
        def as_local_file(self, name):
            yield complete

        @contextmanager
        def as_local_header(self, name):
            yield tmp_path / "short.dcm"

    files = [InputFile(f"{number}.dcm", source=Source()) for number in range(2)]
    assert [len(group) for group in group_files(files, "breast", PatientKeys(), 2)] == [2]


def test_the_report_of_the_step_describes_breasts(two_views, exam, tmp_path):
    from mammo_core import at_paths
    from mammo_core.registry import push
    from mammo_core.store import open_store

    store = open_store(f"file://{tmp_path}/store")
    push(store, two_views.folder, "pairs")
    result = at_paths.score(
        store=store.uri,
        run_id="r",
        kfp_run_id="kfp",
        model=f"{store.uri}/models/pairs",
        source=str(exam),
        out=str(tmp_path / "scores.json"),
        report=str(tmp_path / "report.html"),
    )
    assert (result["images"], result["rejects"]) == (9, 6)
    page = (tmp_path / "report.html").read_text()
    assert "of the breast, from both of its views" in page and "Images of positive breasts" in page
    assert "scored without" in page and STUDY not in page


@pytest.mark.s3
def test_a_bucket_gives_the_same_bytes_as_a_folder(two_views, exam, tmp_path, s3_environment):
    from mammo_core.store import open_store

    store = open_store("s3://mammo-tests/two-views")
    names = ("a/1.dcm", "b/1.dcm", "z/1.dcm", "P_00001_LEFT_CC.png", "P_00001_LEFT_MLO.png")
    for name in names:
        store.put_file(f"in/{name}", exam / name)
        (tmp_path / "local" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "local" / name).write_bytes((exam / name).read_bytes())
    remote, local = tmp_path / "remote.csv", tmp_path / "local.csv"
    score(two_views, [f"{store.uri}/in"], remote)
    score(two_views, [tmp_path / "local"], local)
    assert remote.read_bytes() == local.read_bytes()
    assert len(rows(remote)) == 5
