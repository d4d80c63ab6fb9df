"""A run of a pipeline on this machine: `mammo pipeline run --local`."""

import json
import os
import shutil
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.cli.cluster_run import require_parameters
from pipelines.cli.options import RunRequest

if TYPE_CHECKING:
    from mammo_core.recipes import Recipe
    from mammo_core.sources import SourceConfig
    from mammo_core.store import Store


def run_locally(
    request: RunRequest, folder: Path, images: tuple[str, str] | None, find_batch_size: bool
) -> None:
    """Run a pipeline on this machine and show its summary.

    Args:
        request: What to run.
        folder: Folder of the records of local runs; the run gets a folder in it.
        images: Container images of data and training; None: each step is a process.
        find_batch_size: Whether to train with the largest batches that fit into memory.

    Raises:
        MammoError: The request is not valid, or a step failed.
    """
    from mammo_core.errors import RecipeError
    from mammo_core.packaging import TrustPolicy, signing_key
    from mammo_core.runs import Run
    from mammo_core.store import open_store

    # Before hours of work: an invalid trust policy, or no key to sign the package with.
    signed = False
    if request.pipeline == "score":
        TrustPolicy.from_environment()
    else:
        signed = signing_key() is not None
    store = open_store(request.store or "file://store")
    if images is not None and not store.uri.startswith("s3://"):
        raise RecipeError(
            "Steps in containers cannot reach this store",
            expected="--store s3://bucket/prefix",
            received=store.uri,
        )
    parameters = dict(request.parameters)
    if request.pipeline == "score":
        run_id = request.run_id or f"score-{_time_stamp()}"
        if request.source is not None:
            parameters["source"] = request.source
        require_parameters(request.pipeline, parameters)
        Run(store, run_id).delete()
    else:
        require_parameters(request.pipeline, parameters)
        recipe = _resolved_recipe(request, find_batch_size)
        run_id = request.run_id or f"{recipe.name}-{_time_stamp()}"
        run = Run(store, run_id)
        run.delete()
        run.write_recipe(recipe)
        print(f"run {run_id}: recipe {recipe.name}, store {store.uri}")
        parameters["recipe"] = run.recipe_uri
        # Partitions are for pods on several machines: here they would share this one's.
        parameters.setdefault("partitions", 1)
    _run(request.pipeline, store, run_id, folder / run_id, parameters, images, signed)


def _resolved_recipe(request: RunRequest, find_batch_size: bool) -> "Recipe":
    """Return the recipe with its overrides, after checking that its source exists."""
    from mammo_core.errors import RecipeError
    from mammo_core.recipes import load_recipe

    if request.recipe is None:
        raise RecipeError(
            "A run needs a recipe",
            expected="--recipe with a file or a name, for instance --recipe phantom",
            received="none",
        )
    overrides = list(request.overrides)
    if request.source is not None:
        overrides.append(f"source.root={json.dumps(request.source)}")
    recipe = load_recipe(request.recipe, overrides)
    for source in recipe.all_sources:
        _require_source(source)
    if find_batch_size:
        recipe = load_recipe(request.recipe, [*overrides, *_largest_batch_sizes(recipe)])
    return recipe


def _largest_batch_sizes(recipe: "Recipe") -> list[str]:
    """Return the largest batch sizes that fit this machine, as overrides of the recipe."""
    from mammo_core.experiments.batch_sizes import find_batch_sizes

    sizes = find_batch_sizes(recipe)
    overrides = [f"{section}.batch_size={size}" for section, size in sizes.items()]
    print(f"largest batches: {', '.join(overrides)} (the recipe's learning rates are kept)")
    return overrides


def _require_source(source: "SourceConfig") -> None:
    from mammo_core.errors import RecipeError, SourceError

    try:
        source.files().require_root(f"source's folder {source.root}")
    except SourceError as error:
        raise RecipeError(
            error.problem,
            expected=f"{error.expected} (source.root, or root of one of the sources)",
            received=error.received,
            hint="create the phantom first with `mammo phantom create`, or pass --source DIR",
        ) from error


def _run(
    pipeline: str,
    store: "Store",
    run_id: str,
    folder: Path,
    parameters: Mapping[str, Any],
    images: tuple[str, str] | None,
    signed: bool,
) -> None:
    """Compile the pipeline into the run's folder, run it, and show the summary."""
    from mammo_core.processes import child_environment
    from pipelines.compiled import compile_pipeline, validate_parameters, with_images
    from pipelines.local import run_compiled
    from pipelines.show import run_error, show

    started = time.time()
    os.environ.update(child_environment())
    path = folder / f"{pipeline}.yaml"
    package = compile_pipeline(pipeline, path, parallelism=1, signed=signed)
    # Temporary files are deleted with the run, even those of steps that were killed.
    temporary = folder / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    os.environ["TMPDIR"] = str(temporary.absolute())
    arguments = {**parameters, "store": store.uri, "run_id": run_id}
    validate_parameters(package.read_text(), arguments)
    if images is not None:
        package.write_text(with_images(package.read_text(), *images))
    try:
        succeeded = run_compiled(
            package, arguments, folder / "artifacts", in_images=images is not None
        )
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    summary = show(store, run_id, folder, time.time() - started)
    # KFP may report a container that was killed as succeeded; its status is still `running`.
    if not succeeded or "running" in summary["states"].values():
        raise run_error(summary)


def _time_stamp() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
