"""The steps as Kubeflow Pipelines calls them: paths of manifests in, files out.

Each step takes the URI of the store, the id of the run, the reference and digest of the recipe,
the paths of its input manifests and the path `out` of its output's manifest, and returns the
metadata of that artifact. A failed step prints its error and ends the process with exit code 1.
`pods` has what the pods of our pipelines do: several steps, one after the other.
Nothing of Kubeflow Pipelines is imported, and no other module knows these paths.
"""

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from mammo_core import runs, steps
from mammo_core.datasets import Manifest, parse
from mammo_core.discovery import module_names
from mammo_core.errors import MammoError, RunError
from mammo_core.processes import follow_parent
from mammo_core.runs import Run
from mammo_core.steps.begin import check_signing_key as check_key
from mammo_core.steps.registry import get_step
from mammo_core.steps.step import Step, error_message
from mammo_core.steps.tracked import end_run
from mammo_core.store import open_store
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
) -> steps.RunStart:
    """Resolve the recipe of a run: see `steps.begin`."""
    with exit_on_error("index"):
        return steps.begin(
            Run.open(open_store(store), run_id, kfp_run_id),
            recipe,
            source=source,
            settings=settings,
            partitions=partitions,
            start=start,
            signing_key_id=signing_key_id,
        )


def check_signing_key(*, store: str, run_id: str, kfp_run_id: str = "") -> str:
    """Check the key that will sign the model: see `steps.begin.check_signing_key`."""
    with exit_on_error("check-signing-key"):
        return check_key(Run.open(open_store(store), run_id, kfp_run_id))


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
    with exit_on_error("summarize"):
        run = Run.open(open_store(store), run_id, kfp_run_id)
        summary = runs.summarize(run, run.recipe_name(recipe), state)
        run.write_summary(summary)
        end_run(run, summary, lambda text: print(f"[summarize] {text}", flush=True))
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
        with exit_on_error(step.name):
            run = Run.open(open_store(store), run_id, kfp_run_id)
            arguments = {
                name: value if name in texts else _read_inputs(value)
                for name, value in inputs.items()
                if not (name in step.optional and _is_absent(value))
            }
            result = step.execute(run, recipe=recipe, recipe_digest=recipe_digest, **arguments)
            write(out, result.manifest.to_json().encode())
        return result.metadata

    call.__doc__ = step.__doc__
    return call


def __getattr__(name: str) -> Any:
    """Return any declared step as a function of paths: `at_paths.convert(...)`."""
    if name in module_names(__name__):
        return import_module(f"{__name__}.{name}")
    try:
        return with_paths(get_step(name.replace("_", "-")))
    except RunError as error:
        raise AttributeError(f"module {__name__!r} has no step {name!r}") from error


def index(**arguments: Any) -> dict[str, Any]:
    """Begin the work of a run: see `steps.index`. Every pipeline trains."""
    return with_paths(get_step("index"))(use="training", **arguments)


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
                write(report, store.read(facts["report"]))


def score(*, report: str = "", **inputs: Any) -> dict[str, Any]:
    """Score mammograms: see `steps.score`. The page goes to `report` if that is not empty."""
    metadata = with_paths(get_step("score"))(**inputs)
    if report:
        show_page(inputs["store"], read(inputs["out"]), report)
    return metadata


def show_page(store: str, manifest: Manifest, page: str, name: str = "report.html") -> None:
    """Fill an HTML artifact with a page that a step published.

    Args:
        store: URI of the object store.
        manifest: The step's output.
        page: Path of the artifact.
        name: Name of the page among the files of the output.
    """
    write(page, open_store(store).read(manifest.file(name).key))


@contextmanager
def exit_on_error(name: str) -> Iterator[None]:
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


def read(path: str) -> Manifest:
    """Return the manifest at a path."""
    return parse(Path(path).read_bytes(), path)


def _read_inputs(paths: str | Sequence[str]) -> Manifest | list[Manifest]:
    return read(paths) if isinstance(paths, str) else [read(path) for path in paths]


def _is_absent(path: str | None) -> bool:
    return not path or not Path(path).exists() or not Path(path).stat().st_size


def write(path: str, data: bytes) -> None:
    """Write a file, and the folders that it is in."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(data)
