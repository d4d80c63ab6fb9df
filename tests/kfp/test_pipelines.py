"""Every pipeline on a real backend, from its upload to its end, and on a schedule."""

import json

import yaml

from pipelines.compiled import PIPELINES


def champion(backend) -> list[dict]:
    """Return every change of the champion of the tests' own model."""
    text = backend.in_cluster(
        *("mammo", "models", "history", backend.name, "--store", backend.store, "--json")
    )
    return json.loads(text)


def test_upload(backend, phantom):
    """Every pipeline has the version of the images; the second upload finds it."""
    printed = backend.mammo("pipeline", "upload", "--image-tag", backend.tag)
    assert printed.count(f"version {backend.tag} ") == len(PIPELINES), printed
    again = backend.mammo("pipeline", "upload", "--image-tag", backend.tag)
    assert again.count("exists already:") == len(PIPELINES), again


def test_a_train_run_comes_to_its_end(backend, trained):
    """All of it: the model is pushed, and each pod ran with the account of the runs."""
    accounts = {pod["spec"]["serviceAccountName"] for pod in backend.pods(trained.run_id)}
    assert accounts == {"mammo-run"}
    phases = {pod["status"]["phase"] for pod in backend.pods(trained.run_id)}
    assert phases == {"Succeeded"}
    assert champion(backend)[-1]["action"] == "push"


def test_each_change_is_printed_once(trained):
    """A line for each task and change: no drivers, no executors, no root."""
    lines = trained.printed.splitlines()
    assert len(lines) == len(set(lines)) and len(lines) < 120, trained.printed
    assert not any(word in trained.printed for word in ("driver", "executor", "root"))


def test_a_run_with_nothing_to_do(backend, trained, report):
    """The same again: every output is found, nothing is trained."""
    before = champion(backend)
    ended = backend.run(settings=backend.settings(), more=["--param", "partitions=2"])
    report("train again, nothing to do, two partitions", ended)
    assert ended.state == "SUCCEEDED", ended.printed
    record = backend.record(ended.run_id)
    assert all(status["reused"] for name, status in record.items() if "output" in status), record
    assert champion(backend) == before


def test_retrain_without_new_images_ends_early(backend, trained, report):
    ended = backend.run("retrain", settings=backend.settings())
    report("retrain, nothing new", ended)
    assert ended.state == "SUCCEEDED", ended.printed
    assert "train-image" not in backend.record(ended.run_id)


def test_retrain_with_new_images(backend, trained, larger_phantom, report):
    """The champion is trained on with the images of new patients."""
    ended = backend.run(
        "retrain",
        settings=backend.settings(1, "retrain.min_new_images=1"),
        source=larger_phantom,
    )
    report("retrain, new images", ended)
    assert ended.state == "SUCCEEDED", ended.printed
    assert not backend.record(ended.run_id)["train-image"]["reused"]


def test_transfer(backend, trained, report):
    """A model of another name is made from the champion."""
    start = f"{backend.store}/models/{backend.name}/1"
    ended = backend.run(
        "transfer",
        settings=backend.settings(2, name=f"{backend.name}-transfer"),
        more=["--param", f"start={start}"],
    )
    report("transfer", ended)
    assert ended.state == "SUCCEEDED", ended.printed


def test_score(backend, trained, report):
    """The champion scores the phantom, with the Secret of the role alone."""
    model = f"{backend.store}/models/{backend.name}"
    ended = backend.run("score", more=["--param", f"model={model}"])
    report("score", ended)
    assert ended.state == "SUCCEEDED", ended.printed


def test_a_schedule_runs(backend, trained, tmp_path, report):
    """A recurring run begins by itself, with the account of the runs, and ends."""
    schedule = {
        "name": backend.name,
        "pipeline": "retrain",
        "cron": "* * * * *",
        "parameters": {
            "recipe": "phantom",
            "store": backend.store,
            "source": backend.source,
            "settings": backend.settings(),
        },
        "experiment": backend.name,
        "service_account": "mammo-run",
    }
    path = tmp_path / "schedule.yaml"
    path.write_text(yaml.safe_dump(schedule))
    backend.mammo("pipeline", "schedule", "create", path)
    try:
        listed = json.loads(backend.mammo("pipeline", "schedule", "list", "--json"))
        (row,) = [row for row in listed if row["name"] == backend.name]
        assert row["cron"] == "* * * * *", row
        run_id = backend.until("a run of the schedule", lambda: _scheduled(backend), 300)
    finally:
        backend.mammo("pipeline", "schedule", "pause", backend.name)
    ended = backend.wait(run_id)
    report("retrain on a schedule", ended)
    backend.mammo("pipeline", "schedule", "delete", backend.name)
    assert ended.state == "SUCCEEDED", ended.printed


def _scheduled(backend) -> str:
    rows = json.loads(
        backend.mammo("pipeline", "list", "--experiment", backend.name, "--json", check=False)
    )
    return rows[-1]["id"] if rows else ""
