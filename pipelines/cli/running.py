"""`mammo pipeline run`: here, or on a cluster."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.cli import options
from pipelines.cli.compiling import compiled_text
from pipelines.cli.looking import follow


def run(
    recipe: Annotated[
        str | None, typer.Option(help="File or name of the recipe (not for `score`).")
    ] = None,
    pipeline: Annotated[str, typer.Option(help="train, retrain, transfer or score.")] = "train",
    local: Annotated[bool, typer.Option("--local", help="Run on this machine.")] = False,
    docker: Annotated[
        bool,
        typer.Option(
            "--docker",
            help="With --local: each step in its image, by a Docker engine (s3:// only).",
        ),
    ] = False,
    store: Annotated[
        str | None,
        typer.Option(
            envvar="MAMMO_STORE",
            help="URI of the object store; default: file://store locally, s3://mammo else.",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="Folder or s3:// URI of the mammograms (instead of the recipe's)."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key.key=value: overrides the recipe; may be repeated."),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(help="name=value: a parameter of the pipeline; may be repeated."),
    ] = None,
    gpu_count: Annotated[
        int | None,
        typer.Option(min=0, envvar="MAMMO_GPU_COUNT", help="GPUs of each training step."),
    ] = None,
    gpu_type: Annotated[
        str | None, typer.Option(envvar="MAMMO_GPU_TYPE", help="Resource name of the GPUs.")
    ] = None,
    shuffle_labels: Annotated[
        bool,
        typer.Option(
            "--shuffle-labels",
            help="Permute the labels over patients: AUC must come out near 0.5; never pushed.",
        ),
    ] = False,
    find_batch_size: Annotated[
        bool,
        typer.Option(
            "--find-batch-size",
            help="With --local: train with the largest batches that fit this machine's memory.",
        ),
    ] = False,
    runs: Annotated[Path, typer.Option(help="Folder of the local runs' records.")] = Path("runs"),
    run_id: Annotated[str, typer.Option(help="Id of the run; default: recipe and time.")] = "",
    file: Annotated[
        Path | None, typer.Option(help="A compiled pipeline to run, its images in it.")
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(help="An uploaded version to run: its name, or `latest`."),
    ] = None,
    experiment: Annotated[str, typer.Option(help="Experiment the run belongs to.")] = "mammo",
    service_account: Annotated[str, typer.Option(help="That the pods run as.")] = "",
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Turn KFP's cache off for every task.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run to its end.")] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait at most.")] = 86400.0,
    parallelism: options.Parallelism = 4,
    registry: options.Registry = options.REGISTRY,
    image_tag: options.ImageTag = None,
    data_image: options.DataImage = None,
    train_image: options.TrainImage = None,
    training_image: options.TrainingImage = None,
    host: options.Host = None,
    namespace: options.Namespace = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    ca_cert: options.CaCert = None,
    verify_tls: options.VerifyTls = None,
) -> None:
    """Run a pipeline, on this machine (--local) or on a cluster."""
    from mammo_core.runs import run_id_of
    from pipelines.client import parsed_parameters
    from pipelines.compiled import images_of, validate_parameters
    from pipelines.schedule import pipeline_name

    parameters = parsed_parameters(param or [])
    if run_id:
        run_id_of(run_id)
    overrides = list(settings or [])
    if shuffle_labels:
        overrides.append("shuffle_labels=true")
    if local:
        images = None
        if docker:
            tag = options.image_tag(image_tag)
            images = images_of(registry, tag, data_image, train_image)
        _run_here(
            pipeline,
            recipe,
            store or "file://store",
            source,
            overrides,
            parameters,
            runs,
            run_id,
            images,
            find_batch_size,
        )
        return
    _only_here(find_batch_size)
    if gpu_count is not None:
        parameters.setdefault("gpu_count", str(gpu_count))
    if gpu_type is not None:
        parameters.setdefault("gpu_type", gpu_type)
    parameters.update(_cluster_parameters(pipeline, recipe, store, source, overrides, run_id))
    text = None
    if file is not None:
        text = _read(file)
    elif version is None:
        tag = options.image_tag(image_tag)
        text = compiled_text(
            pipeline, parallelism, registry, tag, data_image, train_image, training_image
        )
    if text is not None:  # before the cluster is asked: it may be far
        validate_parameters(text, parameters)
    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    uploaded = None
    if text is None:
        wanted = "" if version == "latest" else str(version)
        uploaded = client.uploaded(pipeline_name(pipeline), wanted)
    name = run_id or f"{pipeline}-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    submitted = client.run(
        parameters,
        name=name,
        experiment=experiment,
        text=text,
        version=uploaded,
        service_account=service_account,
        cache=False if no_cache else None,
    )
    print(f"submitted {name}: run {submitted}")
    print(client.link(submitted))
    if wait:
        follow(client, submitted, timeout)


def _cluster_parameters(
    pipeline: str,
    recipe: str | None,
    store: str | None,
    source: str | None,
    overrides: list[str],
    run_id: str,
) -> dict[str, Any]:
    """The pipeline's parameters that have options of their own, as far as they are told.

    A recipe's file is resolved here and travels whole; a name or a URI is resolved by the
    first step, with the recipes of its image.
    """
    told: dict[str, Any] = {}
    if pipeline != "score":
        if recipe is not None:
            told["recipe"] = recipe
            if Path(recipe).is_file():
                from mammo_core.recipes import load_recipe

                told["recipe"] = json.dumps(load_recipe(recipe, overrides).model_dump(mode="json"))
                overrides = []
        if overrides:
            told["settings"] = overrides
    if store is not None:
        told["store"] = store
    if source is not None:
        told["source"] = source
    if run_id:
        told["run_id"] = run_id
    for key in ("store", "source"):
        if not told.get(key, "s3://").startswith("s3://"):
            from mammo_core.errors import RecipeError

            raise RecipeError(
                f"The {key} cannot be reached from a cluster",
                expected="s3://bucket/prefix (`mammo store put` brings a folder there)",
                received=told[key],
            )
    return told


def _read(file: Path) -> str:
    from mammo_core.errors import RecipeError

    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"The compiled pipeline {file} cannot be read",
            expected="a YAML file that `mammo pipeline compile` wrote",
            received=str(error),
        ) from error
    if "pipelineInfo" not in text:
        raise RecipeError(
            f"{file} is no compiled pipeline",
            expected="a YAML file that `mammo pipeline compile` wrote",
            received="another file",
        )
    if ":unset\n" in text:
        raise RecipeError(
            f"The compiled pipeline {file} names no images",
            expected="images by git sha or digest in it",
            received="the placeholder",
            hint="compile it with --image-tag, or leave --file out",
        )
    return text


def _run_here(
    pipeline: str,
    recipe: str | None,
    store: str,
    source: str | None,
    overrides: list[str],
    parameters: dict[str, Any],
    runs: Path,
    run_id: str,
    images: tuple[str, str] | None,
    find_batch_size: bool,
) -> None:
    from mammo_core.errors import RecipeError
    from mammo_core.recipes import load_recipe
    from mammo_core.runs import Run
    from mammo_core.store import open_store

    place = open_store(store)
    if images is not None and not place.uri.startswith("s3://"):
        raise RecipeError(
            "Steps in containers cannot reach this store",
            expected="--store s3://bucket/prefix",
            received=place.uri,
        )
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    if pipeline == "score":
        identity = run_id or f"score-{stamp}"
        if source is not None:
            parameters["source"] = source
        Run(place, identity).delete()
        _run_local(pipeline, place, identity, runs / identity, parameters, images)
        return
    if recipe is None:
        raise RecipeError(
            "A run needs a recipe",
            expected="--recipe with a file or a name, for instance --recipe phantom",
            received="none",
        )
    if source is not None:
        overrides.append(f"source.root={json.dumps(source)}")
    resolved = load_recipe(recipe, overrides)
    _check_source(resolved.source)
    if find_batch_size:
        resolved = load_recipe(recipe, [*overrides, *_largest_batches(resolved)])
    identity = run_id or f"{resolved.name}-{stamp}"
    record = Run(place, identity)
    record.delete()
    record.write_recipe(resolved)
    print(f"run {identity}: recipe {resolved.name}, store {place.uri}")
    parameters["recipe"] = record.recipe_uri
    _run_local(pipeline, place, identity, runs / identity, parameters, images)


def _largest_batches(recipe: Any) -> list[str]:
    """Find the largest batches that this machine trains on: overrides of the recipe."""
    from mammo_core.experiments.batch_sizes import find_batch_sizes

    found = find_batch_sizes(recipe)
    overrides = [f"{part}.batch_size={count}" for part, count in found.items()]
    print(f"largest batches: {', '.join(overrides)} (learning rates stay the recipe's)")
    return overrides


def _only_here(find_batch_size: bool) -> None:
    from mammo_core.errors import RecipeError

    if find_batch_size:
        raise RecipeError(
            "Batch sizes are found on the machine that trains",
            expected="--find-batch-size with --local",
            received="a run on a cluster",
            hint="`mammo models find-batch-size --recipe …` in the training image on such a "
            "node tells them; give them with --set",
        )


def _check_source(source: Any) -> None:
    from mammo_core.errors import RecipeError, SourceError

    try:
        source.files().require_root(f"source's folder {source.root}")
    except SourceError as error:
        raise RecipeError(
            error.problem,
            expected=f"{error.expected} (source.root)",
            received=error.received,
            hint="make the phantom first with `mammo phantom create`, or give --source DIR",
        ) from error


def _run_local(
    pipeline: str,
    place: Any,
    identity: str,
    folder: Path,
    parameters: dict[str, Any],
    images: tuple[str, str] | None,
) -> None:
    import shutil
    import time

    from mammo_core.processes import child_environment
    from pipelines.compiled import compile_pipeline, validate_parameters, with_images
    from pipelines.local import run_compiled
    from pipelines.show import failure, show

    started = time.time()
    os.environ.update(child_environment())
    package = compile_pipeline(pipeline, folder / f"{pipeline}.yaml", parallelism=1)
    # What steps put aside goes with the run, even where they were killed.
    temporary = folder / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    os.environ["TMPDIR"] = str(temporary.absolute())
    arguments = {**parameters, "store": place.uri, "run_id": identity}
    validate_parameters(package.read_text(), arguments)
    if images is not None:
        package.write_text(with_images(package.read_text(), *images))
    try:
        succeeded = run_compiled(
            package, arguments, folder / "artifacts", in_images=images is not None
        )
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    summary = show(place, identity, folder, time.time() - started)
    # A container that was killed may pass for one that succeeded; the record knows better.
    if not succeeded or "running" in summary["states"].values():
        raise failure(summary)
