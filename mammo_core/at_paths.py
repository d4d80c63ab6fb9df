"""The steps as Kubeflow Pipelines calls them: paths of manifests in, files out.

Each step takes the URI of the store, the id of the run, the reference and digest of the recipe,
the paths of its input manifests and the path `out` of its output's manifest, and returns the
metadata of that artifact. A failed step prints its error and ends the process with exit code 1.
Nothing of Kubeflow Pipelines is imported, and no other module knows these paths.
"""

import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from mammo_core import runs, steps
from mammo_core.datasets import Manifest, parse
from mammo_core.errors import MammoError, RunError
from mammo_core.processes import follow_parent
from mammo_core.runs import Run
from mammo_core.steps.begin import check_signing_key as check_key
from mammo_core.steps.begin import network_names
from mammo_core.steps.registry import get_step
from mammo_core.steps.step import Step, error_message
from mammo_core.store import (
    open_store,
    read_object,
)
from mammo_core.store.temporary import use_private_folder

#: Set to 1 to print the traceback of every error.
DEBUG = "MAMMO_DEBUG"


def begin(
    *,
    store: str,
    run_id: str,
    recipe: str,
    source: str = "",
    settings: Sequence[str] = (),
    partitions: int = 1,
    start: str = "",
    signing_key_id: str | None = None,
    kfp_run_id: str = "",
) -> tuple[list[dict[str, str]], str]:
    """Resolve the recipe of a run: see `steps.begin`.

    Returns:
        The partitions as items of a loop, each with `partition` and `recipe_digest` (the local
        runner of Kubeflow Pipelines passes no other parameter into a loop), and the digest.
    """
    with _exit_on_error("index"):
        beginning = steps.begin(
            Run.open(open_store(store), run_id, kfp_run_id),
            recipe,
            source=source,
            settings=settings,
            partitions=partitions,
            start=start,
            signing_key_id=signing_key_id,
        )
    digest = beginning.recipe_digest
    return [{"partition": name, "recipe_digest": digest} for name in beginning.partitions], digest


def check_signing_key(*, store: str, run_id: str, kfp_run_id: str = "") -> str:
    """Check the key that will sign the model: see `steps.begin.check_signing_key`."""
    with _exit_on_error("check-signing-key"):
        return check_key(Run.open(open_store(store), run_id, kfp_run_id))


def members(
    *, store: str, run_id: str, recipe: str, recipe_digest: str = "", kfp_run_id: str = ""
) -> list[dict[str, str]]:
    """Return the networks to train as items of a loop, each with `member` and `recipe_digest`.

    Without an ensemble there is one item, whose member has an empty name.
    """
    with _exit_on_error("validate-data"):
        run = Run.open(open_store(store), run_id, kfp_run_id)
        names = network_names(run.recipe(recipe, recipe_digest))
        return [{"member": name, "recipe_digest": recipe_digest} for name in names]


def summarize(
    *, store: str, run_id: str, recipe: str, state: str = "", kfp_run_id: str = ""
) -> dict[str, Any]:
    """Write the summary of a run into its record, whatever happened, and return it.

    Args:
        store: URI of the store.
        run_id: Name of the run.
        recipe: Reference of the recipe; the resolved one in the record comes first.
        state: The state that the pipeline reports; it knows no more than that.
        kfp_run_id: Id that Kubeflow Pipelines gave the run.
    """
    with _exit_on_error("summarize"):
        run = Run.open(open_store(store), run_id, kfp_run_id)
        summary = runs.summarize(run, run.recipe_name(recipe), state)
        run.write_summary(summary)
    return summary


def with_paths(step: Step) -> Callable[..., dict[str, Any]]:
    """Return a step as a function of paths, for its component.

    A text stays a text, and a list of paths becomes a list of manifests. An input with a default
    may be left out, be empty, or name an empty file.
    """
    texts = {*step.texts, "partition"}

    def call(
        *,
        store: str,
        run_id: str,
        out: str,
        recipe: str = "",
        recipe_digest: str = "",
        kfp_run_id: str = "",
        **inputs: Any,
    ) -> dict[str, Any]:
        with _exit_on_error(step.name):
            run = Run.open(open_store(store), run_id, kfp_run_id)
            arguments = {
                name: value if name in texts else _read_inputs(value)
                for name, value in inputs.items()
                if not (name in step.optional and _is_absent(value))
            }
            result = step.execute(run, recipe=recipe, recipe_digest=recipe_digest, **arguments)
            _write(out, result.manifest.to_json().encode())
        return result.metadata

    call.__doc__ = step.__doc__
    return call


def __getattr__(name: str) -> Callable[..., dict[str, Any]]:
    """Return any declared step as a function of paths: `at_paths.convert(...)`."""
    try:
        return with_paths(get_step(name.replace("_", "-")))
    except RunError as error:
        raise AttributeError(f"module {__name__!r} has no step {name!r}") from error


def index(**arguments: Any) -> dict[str, Any]:
    """Begin the work of a run: see `steps.index`. Every pipeline trains."""
    return with_paths(get_step("index"))(use="training", **arguments)


def combine(*, patch_trainings: list[str], patch_out: str, **inputs: Any) -> dict[str, Any]:
    """Combine networks: see `steps.combine`.

    `patch_out` gets the manifest of the first member's patch classifier, which draws the
    heatmaps. Kubeflow Pipelines collects trainings in the order of the members.
    """
    Path(patch_out).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(patch_trainings[0], patch_out)
    return with_paths(get_step("combine"))(**inputs)


def evaluate(*, candidate_out: str, **inputs: Any) -> dict[str, Any]:
    """Evaluate both classifiers and build the package of the model, in one pod.

    `candidate_out` gets the manifest of the package: see `steps.build_candidate`.
    """
    metadata = with_paths(get_step("evaluate"))(**inputs)
    names = ("store", "run_id", "recipe", "recipe_digest", "kfp_run_id")
    shared = {name: inputs[name] for name in names if name in inputs}
    sources = ("images", "frame", "patch_training", "image_training")
    with_paths(get_step("build-candidate"))(
        **shared,
        **{name: inputs[name] for name in sources},
        evaluation=inputs["out"],
        out=candidate_out,
    )
    return metadata


def validate_data(*, report: str, **inputs: Any) -> dict[str, Any]:
    """Validate data: see `steps.validate_data`. The page goes to `report`, also on failure."""
    step = get_step("validate-data")
    try:
        return with_paths(step)(**inputs)
    finally:
        with suppress(RunError):  # the record is that of another run, and the step has failed
            store = open_store(inputs["store"])
            run = Run.open(store, inputs["run_id"], inputs.get("kfp_run_id", ""))
            facts = run.statuses().get(step.name, {}).get("facts", {})
            if "report" in facts:
                _write(report, store.read(facts["report"]))


def score(*, report: str = "", **inputs: Any) -> dict[str, Any]:
    """Score mammograms: see `steps.score`. The page goes to `report` if that is not empty."""
    metadata = with_paths(get_step("score"))(**inputs)
    if report:
        show_page(inputs["store"], inputs["out"], report)
    return metadata


def is_enough(path: str) -> bool:
    """Whether the output of `find_new` says that there is enough to train again."""
    from mammo_core.features.kinds import NEW_IMAGES

    return NEW_IMAGES.facts_of(_read(path)).enough


def is_passed(path: str) -> bool:
    """Whether the output of `gate` says that the model may be pushed."""
    from mammo_core.registry.kinds import GATE

    return GATE.facts_of(_read(path)).passed


def report_gpus(step: str, requested: str, resource: str) -> int:
    """Print how many GPUs a step can use; a step that lacks some continues without them.

    Args:
        step: Name of the step.
        requested: Number of GPUs that the run requested.
        resource: Their resource name, for instance nvidia.com/gpu.

    Returns:
        Number of GPUs that the backend of Keras can use; 0 if none was requested.
    """
    count = int(requested) if requested.isdecimal() else 0
    if not count:
        return 0
    from mammo_core.models.backend import prepare_keras

    prepare_keras()
    from mammo_core.training.memory.devices import gpus

    available = gpus()
    print(f"[{step}] {available} of {count} GPUs ({resource})", flush=True)
    if available < count:
        print(
            f"[{step}] warning: {count} GPUs were requested and {available} are available: "
            "is this the GPU image (train-gpu)?",
            flush=True,
        )
    return available


def show_page(store: str, path: str, page: str, name: str = "report.html") -> None:
    """Fill an HTML artifact with a page that a step published.

    Args:
        store: URI of the object store.
        path: Path of the manifest of the step's output.
        page: Path of the artifact.
        name: Name of the page among the files of the output.
    """
    _write(page, open_store(store).read(_read(path).file(name).key))


class _Metrics(Protocol):
    def log_metric(self, metric: str, value: float) -> None: ...


class _RocCurve(Protocol):
    def log_roc_curve(self, fpr: list[float], tpr: list[float], threshold: list[float]) -> None: ...
    def log_confusion_matrix(self, categories: list[str], matrix: list[list[int]]) -> None: ...


def show_evaluation(
    store: str, path: str, metrics: _Metrics, roc: _RocCurve, report: str, summary: str
) -> None:
    """Fill the artifacts of an evaluation.

    Args:
        store: URI of the object store.
        path: Path of the manifest of the evaluation.
        metrics: Gets the scalar numbers.
        roc: Gets the ROC curve, with finite thresholds, and the confusion matrix at the
            operating point where there is one.
        report: Path of the HTML page.
        summary: Path of the numbers as Markdown.
    """
    from mammo_core.evaluation.kinds import EVALUATION

    opened, manifest = open_store(store), _read(path)
    numbers = EVALUATION.facts_of(manifest).summary.model_dump(exclude_none=True)
    low, high = numbers.pop("auc_ci95")
    for name, value in {**numbers, "auc_ci95_low": low, "auc_ci95_high": high}.items():
        metrics.log_metric(name, float(value))
    image = read_object(opened, manifest.file("metrics.json").key)["image"]
    curve, counts = image["roc"], image["at_operating_point"]
    roc.log_roc_curve(
        curve["false_positive_rate"], curve["true_positive_rate"], curve["thresholds"]
    )
    if counts is not None:
        roc.log_confusion_matrix(
            ["benign", "malignant"],
            [
                [counts["true_negatives"], counts["false_positives"]],
                [counts["false_negatives"], counts["true_positives"]],
            ],
        )
    for target, name in ((report, "report.html"), (summary, "summary.md")):
        _write(target, opened.read(manifest.file(name).key))


@contextmanager
def _exit_on_error(name: str) -> Iterator[None]:
    """Print an error as one line and end the process; also end it with its parent."""
    try:
        follow_parent()
        use_private_folder()
        yield
    except (Exception, SystemExit) as error:  # Beam exits on options that it does not know
        if os.environ.get(DEBUG) == "1" or not isinstance(error, (MammoError, OSError)):
            traceback.print_exc(file=sys.stdout)
        print(f"[{name}] error: {error_message(error)}", flush=True)
        sys.exit(1)


def _read(path: str) -> Manifest:
    return parse(Path(path).read_bytes(), path)


def _read_inputs(paths: str | Sequence[str]) -> Manifest | list[Manifest]:
    return _read(paths) if isinstance(paths, str) else [_read(path) for path in paths]


def _is_absent(path: str | None) -> bool:
    return not path or not Path(path).exists() or not Path(path).stat().st_size


def _write(path: str, data: bytes) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(data)
