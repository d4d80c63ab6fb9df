"""The step `score`: scores of a folder or bucket by a published model, in the store."""

import json
import shutil

import pandas as pd
import pytest

from mammo_core import at_paths
from mammo_core.datasets import parse
from mammo_core.registry import push
from mammo_core.store import open_store


@pytest.fixture(scope="module")
def registry(tmp_path_factory, make_package, write):
    root = tmp_path_factory.mktemp("score-step")
    store = open_store(f"file://{root}/store")
    push(store, make_package(root / "package"), "whole-image")
    for number, side in enumerate("LR"):
        path = root / f"images/{side}.dcm"
        write.dicom(path, write.breast(number), laterality=side)
    (root / "images/notes.txt").write_text("no image")
    return root, store


def run(root, store, name, **changes):
    options = {
        "store": store.uri,
        "run_id": name,
        "kfp_run_id": f"kfp-{name}",
        "model": f"{store.uri}/models/whole-image",
        "source": str(root / "images"),
        "out": str(root / name / "scores.json"),
        "report": str(root / name / "report.html"),
    }
    return at_paths.score(**{**options, **changes})


def test_scores_are_stored_and_reused(registry, write):
    root, store = registry
    result = run(root, store, "one")
    assert (result["images"], result["rejects"], result["reused"]) == (2, 1, False)
    manifest = parse((root / "one/scores.json").read_bytes(), "scores")
    table = pd.read_parquet(store.fetch(manifest.file("scores.parquet").key))
    assert list(table["path"]) == ["L.dcm", "R.dcm"]
    assert len(pd.read_parquet(store.fetch(manifest.file("scores.breasts.parquet").key))) == 2
    page = (root / "one/report.html").read_text()
    assert "Research use only" in page and "notes.txt" in page
    assert write.patient not in page
    status = json.loads(store.read("runs/one/steps/score.json"))
    assert status["state"] == "succeeded" and status["counts"] == {"images": 2, "rejects": 1}
    again = run(root, store, "two")
    assert again["reused"] and again["id"] == result["id"]
    assert (root / "two/report.html").read_text() == page


def test_a_damaged_model_is_rejected_and_recorded(registry, tmp_path):
    root, _ = registry
    shutil.copytree(root / "store", tmp_path / "store")
    store = open_store(f"file://{tmp_path}/store")
    key = "models/whole-image/1/metrics.json"
    store.write(key, store.read(key) + b" ")
    with pytest.raises(SystemExit):
        run(root, store, "broken", out=str(tmp_path / "out"), report=str(tmp_path / "page"))
    status = json.loads(store.read("runs/broken/steps/score.json"))
    assert status["state"] == "failed" and "metrics.json was changed" in status["error"]
    assert not (tmp_path / "out").exists()


def test_a_source_without_a_mammogram_fails(registry, tmp_path):
    root, store = registry
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(SystemExit):
        run(root, store, "none", source=str(tmp_path))
    assert "could be scored" in json.loads(store.read("runs/none/steps/score.json"))["error"]


def test_what_is_scored_on_request_only_is_scored_when_it_is_requested(registry, write):
    root, store = registry
    source = root / "more"
    write.dicom(source / "standard.dcm", write.breast(4), laterality="L")
    write.dicom(source / "lateral.dcm", write.breast(5), laterality="L", view="ML")
    write.dicom(source / "empty.dcm", write.breast(6) * 0 + 9, laterality="R")
    plain = run(root, store, "plain", source=str(source))
    requested = run(root, store, "requested", source=str(source), on_request=True)
    assert (plain["images"], requested["images"]) == (2, 3)
    decided = run(root, store, "decided", source=str(source), decide_unlike=True)
    assert len({plain["id"], requested["id"], decided["id"]}) == 3
    assert not any(result["reused"] for result in (plain, requested, decided))
    again = run(root, store, "again", source=str(source), on_request=True, decide_unlike=False)
    assert again["reused"] and again["id"] == requested["id"]
