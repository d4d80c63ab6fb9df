"""Compiled pipelines, and the images that are put into them."""

import importlib
import re
from pathlib import Path
from typing import Any

import yaml

from components.container_images import DATA_IMAGE, TRAIN_IMAGE
from mammo_core.errors import RecipeError

#: The pipelines by name; each is a module with a function `build`.
PIPELINES = ("train", "retrain", "transfer", "score")
#: Where the compiled pipelines are kept, with placeholders for the images.
COMMITTED = Path(__file__).parent / "yaml"

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_TAG = re.compile(r":([A-Za-z0-9_][A-Za-z0-9._-]{0,127})$")


def pipeline(name: str, parallelism: int = 4) -> Any:
    """Build a pipeline by name.

    Args:
        name: One of PIPELINES.
        parallelism: Parts of the work that are done at the same time.

    Raises:
        RecipeError: There is no such pipeline.
    """
    if name not in PIPELINES:
        raise RecipeError(
            "There is no such pipeline", expected=", ".join(PIPELINES), received=repr(name)
        )
    return importlib.import_module(f"pipelines.{name}").build(parallelism)


def compile_pipeline(name: str, path: Path, parallelism: int = 4) -> Path:
    """Compile a pipeline to YAML, with placeholders for the images.

    Args:
        name: One of PIPELINES.
        path: Where the YAML goes.
        parallelism: Parts of the work that are done at the same time.
    """
    from kfp import compiler

    path.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(pipeline(name, parallelism), str(path))
    return path


def with_images(text: str, data: str, train: str, training: str | None = None) -> str:
    """Put images in the place of the placeholders of a compiled pipeline.

    Args:
        text: The compiled YAML.
        data: Reference of the data image, by git sha or digest.
        train: Reference of the train image, likewise.
        training: Another image for the two training steps alone: train-tfio.

    Raises:
        RecipeError: A reference could mean another image tomorrow.
    """
    if training is not None:
        # KFP writes the image as the last line of an executor.
        steps = re.compile(
            r"(^    exec-train-(?:patch|image):\n(?:^(?:      .*)?\n)*?^        image: )"
            + re.escape(TRAIN_IMAGE),
            re.MULTILINE,
        )
        text = steps.sub(lambda found: found[1] + checked_image(training), text)
    for placeholder, reference in ((DATA_IMAGE, data), (TRAIN_IMAGE, train)):
        text = text.replace(f"image: {placeholder}\n", f"image: {checked_image(reference)}\n")
    return text


def checked_image(reference: str) -> str:
    """Return the reference of an image when it names one image for good.

    KFP caches by the reference, and nodes keep images by it: a tag that moves runs old code.

    Raises:
        RecipeError: It has no tag, the tag `latest`, or the placeholder's.
    """
    tag = _TAG.search(reference)
    if "@" in reference:
        named = bool(_DIGEST.search(reference))
    else:
        named = tag is not None and tag[1] not in ("latest", "unset")
    if not named or re.search(r"[\s'\"]", reference):
        raise RecipeError(
            "This image cannot be used",
            expected="a reference by digest (name@sha256:…) or by git sha (name:<sha>), "
            "never latest",
            received=repr(reference),
            hint="give --image-tag, --data-image and --train-image, or MAMMO_IMAGE_TAG",
        )
    return reference


def images_of(
    registry: str, tag: str, data: str | None = None, train: str | None = None
) -> tuple[str, str]:
    """Return the references of the data and the train image.

    Args:
        registry: What stands before the images' names.
        tag: Git sha of the images.
        data: The data image instead, in full.
        train: The train image instead, in full (a GPU image, for instance).
    """
    named = [f"{registry.rstrip('/')}/{name}:{tag}" for name in ("data", "train")]
    return data or named[0], train or named[1]


def parameters_of(text: str) -> dict[str, dict[str, Any]]:
    """Return name → definition of the parameters of a compiled pipeline."""
    spec = next(part for part in yaml.safe_load_all(text) if "root" in part)
    found: dict[str, dict[str, Any]] = (
        spec["root"].get("inputDefinitions", {}).get("parameters", {})
    )
    return found


def name_of(text: str) -> str:
    """Return the name of a compiled pipeline."""
    spec = next(part for part in yaml.safe_load_all(text) if "root" in part)
    return str(spec["pipelineInfo"]["name"])


_KINDS: dict[str, tuple[type, ...]] = {
    "STRING": (str,),
    "NUMBER_INTEGER": (int,),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": (bool,),
    "LIST": (list,),
    "STRUCT": (dict,),
}


def check_parameters(text: str, values: dict[str, Any]) -> dict[str, Any]:
    """Hold values against the parameters of a compiled pipeline.

    Args:
        text: The compiled YAML.
        values: Name → value.

    Returns:
        The values.

    Raises:
        RecipeError: One is unknown, of another type, or a parameter without default is missing.
    """
    known = parameters_of(text)
    for name, value in values.items():
        if name not in known:
            raise RecipeError(
                f"The pipeline {name_of(text)} has no such parameter",
                expected=", ".join(sorted(known)),
                received=repr(name),
            )
        kind = known[name]["parameterType"]
        fits = isinstance(value, _KINDS[kind]) and (kind == "BOOLEAN") == isinstance(value, bool)
        if not fits:
            raise RecipeError(
                f"The parameter {name} cannot be used",
                expected=f"a value of type {kind}: {known[name].get('description', '')}",
                received=repr(value),
            )
    for name, definition in known.items():
        if name not in values and not definition.get("isOptional"):
            raise RecipeError(
                f"The parameter {name} is missing",
                expected=definition.get("description", "a value"),
                received="none",
                hint=f"give it with --param {name}=…",
            )
    return values
