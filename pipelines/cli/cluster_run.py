"""A run of a pipeline on a cluster: `mammo pipeline run` without `--local`."""

import json
from pathlib import Path
from typing import Any

from pipelines.cli.options import RunRequest

#: Pipeline → parameters that have a default for the phantom only.
_NEEDED = {"transfer": ("start",), "score": ("model", "source")}


def cluster_parameters(request: RunRequest) -> dict[str, Any]:
    """Return the parameters of the pipeline for a run on a cluster.

    The file of a recipe is resolved here and submitted as a whole; a name or a URI is resolved by
    the first step, with the recipes of its container image.

    Raises:
        RecipeError: A cluster cannot reach the store or the source, or the recipe is not valid.
    """
    parameters: dict[str, Any] = dict(request.parameters)
    if request.pipeline != "score":
        overrides = list(request.overrides)
        if request.recipe is not None:
            parameters["recipe"] = request.recipe
            if Path(request.recipe).is_file():
                from mammo_core.recipes import load_recipe

                recipe = load_recipe(request.recipe, overrides)
                parameters["recipe"] = json.dumps(recipe.model_dump(mode="json"))
                overrides = []
        if overrides:
            parameters["settings"] = overrides
    for name, uri in (("store", request.store), ("source", request.source)):
        if uri is not None:
            _require_bucket(name, uri)
            parameters[name] = uri
    if request.run_id:
        parameters["run_id"] = request.run_id
    require_parameters(request.pipeline, parameters)
    return parameters


def require_parameters(pipeline: str, parameters: dict[str, Any]) -> None:
    """Refuse a run of a command without what only its user can know.

    The form of KFP's web page has defaults for the phantom; a command takes none of these.

    Raises:
        RecipeError: A parameter is missing.
    """
    from mammo_core.errors import RecipeError

    for name in _NEEDED.get(pipeline, ()):
        if name not in parameters:
            raise RecipeError(
                f"The parameter {name} is missing",
                expected=f"the {name} of the pipeline {pipeline}",
                received="none",
                hint=f"give it with --param {name}=…",
            )


def require_no_batch_search(find_batch_size: bool) -> None:
    """Refuse to search for batch sizes before a run on a cluster.

    Raises:
        RecipeError: `--find-batch-size` was passed.
    """
    from mammo_core.errors import RecipeError

    if find_batch_size:
        raise RecipeError(
            "Batch sizes can only be measured on the machine that trains",
            expected="--find-batch-size with --local",
            received="a run on a cluster",
            hint="run `mammo models find-batch-size --recipe …` in the training image on such a "
            "node, and pass the sizes with --set",
        )


def read_compiled_pipeline(file: Path) -> str:
    """Return the YAML of a compiled pipeline that has its container images.

    Raises:
        RecipeError: The file cannot be read, is another file, or has placeholders.
    """
    from mammo_core.documents import MAXIMUM_YAML_BYTES, DocumentError, read_bounded
    from mammo_core.errors import RecipeError

    try:
        text = read_bounded(file, MAXIMUM_YAML_BYTES).decode()
    except (OSError, UnicodeDecodeError, DocumentError) as error:
        raise RecipeError(
            f"The compiled pipeline {file} cannot be read",
            expected="a YAML file that `mammo pipeline compile` wrote",
            received=str(error),
        ) from error
    if "pipelineInfo" not in text:
        raise RecipeError(
            f"{file} is not a compiled pipeline",
            expected="a YAML file that `mammo pipeline compile` wrote",
            received="another file",
        )
    if ":unset\n" in text:
        raise RecipeError(
            f"The compiled pipeline {file} has no container images",
            expected="images by git sha or digest",
            received="placeholders",
            hint="compile it with --image-tag, or run without --file",
        )
    return text


def _require_bucket(name: str, uri: str) -> None:
    from mammo_core.errors import RecipeError

    if not uri.startswith("s3://"):
        raise RecipeError(
            f"The {name} cannot be reached from a cluster",
            expected="s3://bucket/prefix (`mammo store put` copies a folder there)",
            received=uri,
        )
