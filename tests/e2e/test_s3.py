"""The pipeline on an S3 server: only the URIs of store and source differ."""

import csv
import subprocess
from uuid import uuid4

import pytest

from mammo_core.store import open_store

pytestmark = [pytest.mark.slow, pytest.mark.s3]


def test_run_and_score_on_s3(undisturbed, pipeline, s3_environment, mammo, phantom_tree, tmp_path):
    _, on_disk = undisturbed
    uri = f"s3://mammo-tests/{uuid4().hex}"
    # The mammograms are in a bucket too.
    source = f"s3://mammo-sources/{uuid4().hex}"
    subprocess.run([mammo, "store", "put", phantom_tree, source], check=True, capture_output=True)
    done = pipeline.run(tmp_path, "--store", uri, "--source", source)
    assert done.code == 0, done.output
    summary = done.summary
    assert summary["model_uri"] == f"{uri}/models/tiny/1"
    ids = {name: data["id"] for name, data in summary["datasets"].items()}
    assert ids == {name: data["id"] for name, data in on_disk.summary["datasets"].items()}
    assert summary["auc"] == on_disk.summary["auc"]
    assert not list((tmp_path / "runs").rglob("*.tfrecord"))
    store, secret = open_store(uri), s3_environment.secret_key
    assert secret not in done.output
    for path in (tmp_path / "runs").rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path
    keys = list(store.list(""))
    assert not any(secret.encode() in store.read(key) for key in keys)
    assert "models/tiny/1/SHA256SUMS" in keys

    out = tmp_path / "scores.csv"
    view = next(phantom_tree.glob("*-Test_*_CC"))
    line = [mammo, "score", "--model", summary["model_uri"], view, "--out", out]
    subprocess.run(line, check=True, capture_output=True)
    assert len(list(csv.DictReader(out.open()))) == 1
