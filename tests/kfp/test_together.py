"""Runs at the same time on one store of a real backend: each is as it would have been alone."""

import json

import yaml


def _versions(backend, name: str) -> list[str]:
    history = backend.in_cluster(*("mammo", "models", "list", "--store", backend.store, "--json"))
    return sorted(json.dumps(row["version"]) for row in json.loads(history) if row["name"] == name)


def _trainings(backend, run_id: str) -> dict[str, dict[str, str]]:
    """Step → digests of the files of its output, by name, for the two trainings of a run."""
    digests_of_steps: dict[str, dict[str, str]] = backend.python(
        f"""
import json
digests = {{}}
for step in ("train-patch", "train-image"):
    key = json.loads(store.read(f"runs/{run_id}/steps/{{step}}.json"))["output"]
    files = json.loads(store.read(key))["files"]
    digests[step] = {{file["name"]: file["sha256"] for file in files}}
print(json.dumps(digests))
"""
    )
    return digests_of_steps


def test_two_train_runs_with_different_recipes(backend, trained, report):
    """Both push a model of their own; the one that was trained before has the same bytes."""
    alone = _trainings(backend, trained.run_id)
    names = [f"{backend.name}-{letter}" for letter in "ab"]
    run_ids = [
        backend.submit(settings=backend.settings(seed, name=name))
        for seed, name in ((41, names[0]), (42, names[1]))
    ]
    for name, run_id in zip(names, run_ids, strict=True):
        ended = backend.wait(run_id)
        report(f"one of two train runs at once, {name[-1]}", ended)
        assert ended.state == "SUCCEEDED", ended.printed
        assert len(_versions(backend, name)) == 1
    first, second = (_trainings(backend, run_id) for run_id in run_ids)
    assert first["train-patch"] != second["train-patch"]
    assert _trainings(backend, trained.run_id) == alone


def test_two_schedules_of_one_champion(backend, trained, larger_phantom, tmp_path, report):
    """Two recurring runs retrain the same champion in the same minute: one does, one says so."""
    before = len(_versions(backend, backend.name))
    names = [f"{backend.name}-{number}" for number in (1, 2)]
    for name in names:
        schedule = {
            "name": name,
            "pipeline": "retrain",
            "cron": "* * * * *",
            "parameters": {
                "recipe": "phantom",
                "store": backend.store,
                "source": larger_phantom,
                # Other than the retraining before, so that there is something to train.
                "settings": backend.settings(51, "retrain.min_new_images=0"),
            },
            "experiment": name,
            "service_account": "mammo-run",
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(schedule))
        backend.mammo("pipeline", "schedule", "create", path)

    def run_of(name: str) -> str:
        printed = backend.mammo("pipeline", "list", "--experiment", name, "--json", check=False)
        rows = json.loads(printed)
        return rows[-1]["id"] if rows else ""

    run_ids = []
    for name in names:
        run_ids.append(backend.until(f"a run of {name}", lambda name=name: run_of(name), 300))
        backend.mammo("pipeline", "schedule", "pause", name)
    said = []
    for name, run_id in zip(names, run_ids, strict=True):
        ended = backend.wait(run_id)
        report(f"one of two schedules at once, {name[-1]}", ended)
        assert ended.state == "SUCCEEDED", ended.printed
        said.append(backend.record(run_id)["find-new"]["facts"]["summary"])
        backend.mammo("pipeline", "schedule", "delete", name)
    assert sum("this run ends early" in text for text in said) == 1, said
    assert len(_versions(backend, backend.name)) <= before + 1
