"""The end of a run: what its steps wrote becomes its summary."""

import json
from typing import Any

from mammo_core.errors import RecipeError
from mammo_core.processes import follow_parent
from mammo_core.recipes import load_recipe
from mammo_core.steps.base import open_run
from mammo_core.store import Store, open_store

_DATASETS = {
    "index": "tables",
    "convert": "images",
    "sample": "patches",
    "publish-features": "frame",
}


def summarize(
    *, store: str, run_id: str, recipe: str, state: str = "", kfp_run_id: str = ""
) -> dict[str, Any]:
    """Assemble a run's summary from the status of its steps and write it into its record.

    Args:
        store: URI of the store.
        run_id: The run.
        recipe: The recipe's reference; the resolved one in the run's record comes first.
        state: What the pipeline says of the run; it knows no more than that.
        kfp_run_id: KFP's id of the run.
    """
    follow_parent()
    place = open_store(store)
    run_id = open_run(place, run_id, kfp_run_id)
    summary = assemble(place, run_id, _recipe_name(place, run_id, recipe), state)
    data = (json.dumps(summary, indent=1) + "\n").encode()
    place.write(f"runs/{run_id}/summary.json", data)
    return summary


def _recipe_name(store: Store, run_id: str, recipe: str) -> str:
    key = f"runs/{run_id}/recipe.json"
    if store.exists(key):
        return str(json.loads(store.read(key))["name"])
    # The run failed before its recipe was resolved: perhaps the recipe is what is wrong.
    try:
        return load_recipe(recipe).name if recipe else ""
    except RecipeError:
        return recipe[:80]


def steps_of(store: Store, run_id: str) -> dict[str, dict[str, Any]]:
    """Return step → its status, in the order in which they started."""
    keys = [key for key in store.list(f"runs/{run_id}/steps") if key.endswith(".json")]
    statuses = [json.loads(store.read(key)) for key in keys]
    statuses.sort(key=lambda status: status["started"])
    return {str(status["step"]): status for status in statuses}


def assemble(store: Store, run_id: str, recipe: str, state: str) -> dict[str, Any]:
    """Return the summary of a run: the numbers that the final table shows."""
    steps = steps_of(store, run_id)

    def fact(step: str, name: str) -> Any:
        return steps.get(step, {}).get("facts", {}).get(name)

    datasets = {}
    for step, name in _DATASETS.items():
        status = steps.get(step)
        if status and "output" in status:
            datasets[name] = {
                "id": status["output"].split("/")[-2],
                "counts": status["counts"],
                "rejects": status["rejects"],
                "found": status["found"],
            }
    gate = fact("gate", "gate")
    whole = {name for name, status in steps.items() if status["state"] == "succeeded"}
    failed = {
        name: status.get("error")
        for name, status in steps.items()
        if status["state"] == "failed"
        # A lost share of a step that then made the rest has cost time only.
        and not ("share" in status and name.partition("-")[0] in whole)
    }
    return {
        "run_id": run_id,
        "recipe": recipe,
        "state": "failed" if failed else state.lower() or "unknown",
        "datasets": datasets,
        "splits": fact("publish-features", "splits"),
        "test_patients_seen": [
            *(fact("publish-features", "test_patients_seen") or []),
            *(fact("validate-data", "test_patients_seen") or []),
        ],
        "leaking_patients": fact("index", "leaking_patients"),
        "patch_accuracy": fact("evaluate", "patch_accuracy"),
        "auc": fact("evaluate", "auc"),
        "auc_ci95": fact("evaluate", "auc_ci95"),
        "n_test_images": fact("evaluate", "n_test_images"),
        "n_test_views": fact("evaluate", "n_test_views"),
        "n_test_patients": fact("evaluate", "n_test_patients"),
        "gate": gate,
        "model_uri": fact("push", "model_uri"),
        "model_id": fact("push", "model_id"),
        "report": steps.get("evaluate", {})
        .get("output", "")
        .replace("manifest.json", "report.html")
        or None,
        "seconds": {name: status["seconds"] for name, status in steps.items()},
        "states": {name: status["state"] for name, status in steps.items()},
        "found": {name: status["found"] for name, status in steps.items()},
        "errors": failed,
    }
