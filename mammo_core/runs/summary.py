"""The summary of a run: what its steps recorded, as the numbers that people look at."""

from collections.abc import Mapping
from typing import Any

from mammo_core.runs.run import Run

#: What Kubeflow Pipelines tells a task that runs whatever happened → state of the run. While a run
#: is terminated it says RUNNING.
_STATES = {"complete": "succeeded", "running": "terminated", "canceled": "terminated"}
#: The error of a step that could not write its own.
_KILLED = (
    "The step was killed without a word. Expected its end in the record of the run. Received its "
    "start. Hint: most often it used more memory than its limit; its pod or the log of the kernel "
    "names the cause."
)
#: Step → name of its output in the summary.
_DATASETS = {
    "index": "tables",
    "convert": "images",
    "sample": "patches",
    "publish-features": "frame",
}


def summarize(run: Run, recipe: str = "", state: str = "") -> dict[str, Any]:
    """Return the summary of a run.

    Args:
        run: The record of the run.
        recipe: Name of the recipe.
        state: The state that the pipeline reports: that of the run, or of an earlier summary.
    """
    steps = run.statuses()
    state = _STATES.get(state.lower(), state.lower()) or "unknown"

    def fact(step: str, name: str) -> Any:
        return steps.get(step, {}).get("facts", {}).get(name)

    errors = errors_of(steps)
    if state == "terminated":  # which ends steps without a word, too
        errors = {name: text for name, text in errors.items() if steps[name]["state"] == "failed"}
    return {
        "run_id": run.id,
        "recipe": recipe,
        "state": "failed" if errors and state != "terminated" else state,
        "datasets": _datasets(steps),
        "splits": fact("publish-features", "splits"),
        "contamination": [
            *(fact("publish-features", "contamination") or []),
            *(fact("validate-data", "contamination") or []),
        ],
        "leaking_patients": fact("index", "leaking_patients"),
        "patch_accuracy": fact("evaluate", "patch_accuracy"),
        "auc": fact("evaluate", "auc"),
        "auc_ci95": fact("evaluate", "auc_ci95"),
        "n_test_images": fact("evaluate", "n_test_images"),
        "n_test_views": fact("evaluate", "n_test_views"),
        "n_test_patients": fact("evaluate", "n_test_patients"),
        "gate": fact("gate", "gate"),
        "model_uri": fact("push", "model_uri"),
        "model_id": fact("push", "model_id"),
        "report": fact("evaluate", "report"),
        "seconds": {name: status["seconds"] for name, status in steps.items()},
        "states": {name: status["state"] for name, status in steps.items()},
        "reused": {name: status["reused"] for name, status in steps.items()},
        "errors": errors,
    }


def _datasets(steps: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        name: {
            "id": steps[step]["output"].split("/")[-2],
            "counts": steps[step]["counts"],
            "rejects": steps[step]["rejects"],
            "reused": steps[step]["reused"],
        }
        for step, name in _DATASETS.items()
        if "output" in steps.get(step, {})
    }


def errors_of(steps: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return step → its error, of the steps of a run that has ended, in the order of their starts.

    A step whose status still says that it is running was killed: whoever kills a process lets it
    write nothing.

    Args:
        steps: Step → its status in the record of the run.
    """
    succeeded = {name for name, status in steps.items() if status["state"] == "succeeded"}
    return {
        name: status.get("error") or (_KILLED if status["state"] == "running" else None)
        for name, status in steps.items()
        if status["state"] in ("failed", "running")
        # A lost partition of a step that then did the rest has only cost time.
        and not ("partition" in status and name.partition("-")[0] in succeeded)
    }
