"""Runs in a real server of MLflow, without the plugin of Kubeflow Pipelines and as with it."""

import json

import pytest
import requests

from tests.support.mlflow_server import mlflow_server
from tests.support.processes import free_port
from tests.tracking.conftest import PATIENT


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as address:
        yield address


def ask(server, path, **body):
    answer = requests.post(f"{server}/api/2.0/mlflow/{path}", json=body, timeout=60)
    answer.raise_for_status()
    return answer.json()


def runs_of(server, experiment):
    query = {"experiment_name": experiment}
    url = f"{server}/api/2.0/mlflow/experiments/get-by-name"
    id = requests.get(url, params=query, timeout=60).json()["experiment"]["experiment_id"]
    return [read(run) for run in ask(server, "runs/search", experiment_ids=[id])["runs"]]


def read(run):
    data = {name: {item["key"]: item["value"] for item in run["data"].get(name, [])}
            for name in ("params", "metrics", "tags")}  # fmt: skip
    info = run["info"]
    return {"id": info["run_id"], "name": info["run_name"], "status": info["status"], **data}


@pytest.mark.slow
def test_a_run_and_its_steps(server, whole_run):
    run = whole_run("plain", mlflow=server, experiment="plain")
    again = whole_run("again", mlflow=server, experiment="plain")
    runs = {(run["tags"]["mammo.run"], run["name"]): run for run in runs_of(server, "plain")}
    assert set(runs) == {
        (id, name) for id in ("plain", "again") for name in (id, "index", "evaluate", "convert")
    }
    parent, step = runs["plain", "plain"], runs["plain", "evaluate"]
    assert parent["status"] == "FAILED" and step["status"] == "FINISHED"
    assert step["tags"]["mlflow.parentRunId"] == parent["id"]
    assert parent["params"]["patch_training.batch_size"] == "32"
    assert parent["params"]["split.name"] == "official-without-leak"
    assert parent["metrics"]["auc"] == 0.875
    assert (step["metrics"]["auc"], step["metrics"]["auc_ci95_low"]) == (0.875, 0.75)
    assert step["metrics"]["images"] == 2
    output = runs["plain", "index"]["tags"]["mammo.output"]
    assert output == step["tags"]["mammo.input.raw-things"]
    assert output.startswith(f"{run.store.uri}/raw-things/")
    failed = runs["plain", "convert"]
    assert (failed["status"], failed["tags"]["mammo.error"]) == ("FAILED", "SourceError")
    assert runs["again", "evaluate"]["tags"]["mammo.reused"] == "true"
    # A version of the model for each source, however many runs push it.
    url = f"{server}/api/2.0/mlflow/model-versions/search"
    (version,) = requests.get(url, timeout=60).json()["model_versions"]
    assert (version["name"], version["source"]) == ("phantom", "s3://bucket/models/phantom/3")
    for name in ("data/phantom", PATIENT):
        assert name not in json.dumps(list(runs.values()))
    assert again.statuses()["evaluate"]["state"] == "succeeded"


@pytest.mark.slow
def test_the_runs_that_kubeflow_pipelines_made_are_used_and_not_ended(
    server, whole_run, monkeypatch
):
    """As its plugin does: a run for the pipeline, one for the task, both named to the pod."""
    experiment = ask(server, "experiments/create", name="KFP-Default")["experiment_id"]
    ids = [
        ask(server, "runs/create", experiment_id=experiment, run_name=name)["run"]["info"]["run_id"]
        for name in ("train", "prepare-data")
    ]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
    monkeypatch.setenv("MLFLOW_RUN_ID", ids[1])
    monkeypatch.setenv("KFP_MLFLOW_CONFIG", json.dumps({"parentRunId": ids[0]}))
    whole_run("kfp")
    runs = {run["name"]: run for run in runs_of(server, "KFP-Default")}
    assert set(runs) == {"train", "prepare-data"}
    assert {run["status"] for run in runs.values()} == {"RUNNING"}
    assert runs["train"]["params"]["patch_training.batch_size"] == "32"
    assert runs["train"]["metrics"]["auc"] == 0.875
    task = runs["prepare-data"]
    assert task["metrics"]["evaluate.auc"] == 0.875 and task["metrics"]["index.images"] == 3
    assert task["tags"]["evaluate.mammo.output"].endswith("/manifest.json")
    assert task["tags"]["convert.mammo.error"] == "SourceError"


def test_a_server_that_is_away_stops_nothing(whole_run, capsys):
    run = whole_run("first", mlflow=f"http://127.0.0.1:{free_port()}")
    assert run.statuses()["evaluate"]["state"] == "succeeded"
    assert "[evaluate] warning: mlflow got no report: " in capsys.readouterr().out
