"""`mammo models promote|rollback|compare|push|verify`."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mammo_core.cli.models import app
from mammo_core.datasets import Manifest, publish
from mammo_core.datasets.tables import put_table
from mammo_core.errors import ModelError
from mammo_core.packaging import verify
from mammo_core.registry import champion, push
from mammo_core.store import open_store


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def registry(tmp_path, light_package):
    store = open_store(f"file://{tmp_path}/store")
    for content in "ab":
        push(store, light_package(content), "m")
    return store


def test_promote_and_rollback(registry):
    done = run("promote", "m", 1, "--store", registry.uri)
    assert done.exit_code == 0 and "version 1" in done.output
    assert champion(registry, "m").version == 1
    done = run("rollback", "m", "--store", registry.uri)
    assert "version 2" in done.output and champion(registry, "m").version == 2
    assert isinstance(run("rollback", "m", "--store", registry.uri).exception, ModelError)
    assert isinstance(run("promote", "m", 9, "--store", registry.uri).exception, ModelError)
    listed = json.loads(run("list", "--store", registry.uri, "--json").output)
    assert [row["champion"] for row in listed] == [False, True]


def test_push_and_verify(built, tmp_path):
    uri = f"file://{tmp_path}/store"
    done = run("push", built[0], "--store", uri, "--name", "mine")
    assert done.exit_code == 0, done.output
    assert f"pushed {uri}/models/mine/1" in done.output
    result = json.loads(run("verify", f"{uri}/models/mine", "--json").output)
    assert result["signature"] == "unsigned" and result["samples"] == 3
    assert result["model_id"] == verify(built[0]).model_id
    assert "signature: unsigned" in run("verify", built[0], "--no-run").output


def predictions(quality, seed):
    labels = np.arange(80) % 2
    noise = np.random.default_rng(seed).normal(size=80)
    patients = [f"P_{n // 2:05d}" for n in range(80)]
    return pd.DataFrame(
        {
            "image_id": [f"i{n:03d}" for n in range(80)],
            "patient_key": patients,
            "view_id": [f"{key}_LEFT_{n % 2}" for n, key in enumerate(patients)],
            "laterality": "LEFT",
            "view": "CC",
            "view_class": "CC",
            "exam_key": "",
            "label": labels,
            "probability": 1 / (1 + np.exp(-(quality * labels + noise))),
        }
    )


def test_compare(built, make, tmp_path):
    store = open_store(f"file://{tmp_path}/store")
    for number, quality in enumerate((2.0, 1.0), start=1):
        file = put_table(store, f"evaluations/e{number}", "test.parquet", predictions(quality, 1))
        publish(
            store,
            Manifest(kind="evaluations", id=f"e{number}", revision=1, config={}, files=(file,)),
        )
        lineage = {"evaluation_id": f"e{number}", "frame_id": "f"}
        metrics = {"auc": 0.9 - number / 10}
        folder = tmp_path / f"p{number}"
        make.build(folder, make.network(number), lineage=lineage, metrics=metrics)
        push(store, folder, "m")
    uris = [f"{store.uri}/models/m/{number}" for number in (1, 2)]
    done = run("compare", *uris, "--json", "--report", tmp_path / "report.html")
    assert done.exit_code == 0, done.output
    comparison = json.loads(done.output)
    assert [model["metrics"]["auc"] for model in comparison["models"]] == [0.8, 0.7]
    image = comparison["paired"]["levels"][0]
    assert image["level"] == "image" and image["difference"]["value"] > 0
    assert "Research use only" in (tmp_path / "report.html").read_text()
    output = run("compare", *uris).output
    assert "m 1" in output and "per image: AUC" in output
    alone = run("compare", tmp_path / "p1", uris[1])
    assert alone.exit_code == 0 and "not compared on the same images" in alone.output
