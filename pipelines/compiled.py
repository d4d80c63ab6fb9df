"""Compiled pipelines, and the container images they name."""

import importlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.container_images import DATA_IMAGE, TRAIN_IMAGE
from mammo_core.documents import DocumentError, parse_all_yaml
from mammo_core.errors import RecipeError

#: The pipelines by name; each is a module with a function `build`.
PIPELINES = ("train", "retrain", "transfer", "score")
#: The committed compiled pipelines, with placeholders for the container images.
COMMITTED = Path(__file__).parent / "yaml"

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
#: A git sha, also after other words: `v1-0123abc`. Branches and releases can move.
_TAG = re.compile(r":(?:[A-Za-z0-9_][A-Za-z0-9._-]*[._-])?[0-9a-f]{7,40}$")


def pipeline(name: str, parallelism: int = 4, *, signed: bool = False) -> Any:
    """Build a pipeline by name.

    Args:
        name: One of PIPELINES.
        parallelism: Number of partitions or networks that are processed at the same time.
        signed: Whether a pipeline that pushes models checks the signing key before any work.

    Raises:
        RecipeError: There is no such pipeline.
    """
    if name not in PIPELINES:
        raise RecipeError(
            "There is no such pipeline", expected=", ".join(PIPELINES), received=repr(name)
        )
    options = {} if name == "score" else {"signed": signed}
    built = importlib.import_module(f"pipelines.{name}").build(parallelism, **options)
    _skip_empty_loops(built.pipeline_spec)
    return built


def _skip_empty_loops(spec: Any) -> None:
    """Let a loop over an empty list be skipped, as a condition that does not hold is.

    KFP ends an empty loop, but its state stays RUNNING for good, and that of the groups around it.
    The state of what a condition skips is final, and what waits for such a loop goes on. KFP's
    compiler writes conditions on groups only; its backend takes them on loops, too (iteratorTask
    in backend/src/v2/compiler/argocompiler/dag.go at 2.17.0).
    """
    for component in spec.components.values():
        for task in component.dag.tasks.values():
            items = task.parameter_iterator.items.input_parameter
            if items:
                # An iteration looks at it, too, and has the item in place of the list.
                values = "inputs.parameter_values"
                condition = f"!('{items}' in {values}) || size({values}['{items}']) > 0"
                task.trigger_policy.condition = condition


def compile_pipeline(name: str, path: Path, parallelism: int = 4, *, signed: bool = False) -> Path:
    """Compile a pipeline to YAML, with placeholders for the container images.

    Args:
        name: One of PIPELINES.
        path: Where the YAML goes.
        parallelism: Number of partitions or networks that are processed at the same time.
        signed: Whether a pipeline that pushes models checks the signing key before any work.
    """
    from kfp import compiler

    path.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(pipeline(name, parallelism, signed=signed), str(path))
    return path


def with_images(text: str, data: str, train: str, training: str | None = None) -> str:
    """Replace the placeholders of a compiled pipeline by container images.

    Args:
        text: The compiled YAML.
        data: Reference of the data image, by git sha or digest.
        train: Reference of the train image, by git sha or digest.
        training: Another image for the pods that train only, such as train-tfio.

    Raises:
        RecipeError: A reference could refer to another image tomorrow.
    """
    if training is not None:
        # KFP writes the image as the last line of an executor.
        steps = re.compile(
            r"(^    exec-train(?:-network)?:\n(?:^(?:      .*)?\n)*?^        image: )"
            + re.escape(TRAIN_IMAGE),
            re.MULTILINE,
        )
        text = steps.sub(lambda match: match[1] + require_pinned_image(training), text)
    for placeholder, reference in ((DATA_IMAGE, data), (TRAIN_IMAGE, train)):
        text = text.replace(
            f"image: {placeholder}\n", f"image: {require_pinned_image(reference)}\n"
        )
    return text


def require_pinned_image(reference: str) -> str:
    """Return an image reference after checking that it always refers to the same image.

    KFP caches by reference and nodes keep images by reference: a moving tag runs old code.

    Raises:
        RecipeError: It has neither a digest nor a git sha as its tag.
    """
    named = (_DIGEST if "@" in reference else _TAG).search(reference)
    if named is None or re.search(r"[\s'\"]", reference):
        raise RecipeError(
            "The container image is not pinned",
            expected="a reference by digest (name@sha256:…) or by git sha (name:<sha>), "
            "never latest or a branch",
            received=repr(reference),
            hint="give --image-tag, --data-image and --train-image, or MAMMO_IMAGE_TAG",
        )
    return reference


def images_of(
    registry: str, tag: str, data: str | None = None, train: str | None = None
) -> tuple[str, str]:
    """Return the references of the data and the train image.

    Args:
        registry: Prefix of the image names.
        tag: Tag of the images.
        data: Full reference to use for the data image instead.
        train: Full reference to use for the train image instead, such as a GPU image.
    """
    names = [f"{registry.rstrip('/')}/{name}:{tag}" for name in ("data", "train")]
    return data or names[0], train or names[1]


def parameters_of(text: str) -> dict[str, dict[str, Any]]:
    """Return name → definition of each parameter of a compiled pipeline.

    Raises:
        RecipeError: It is not one.
    """
    inputs = _spec_of(text)["root"].get("inputDefinitions", {})
    parameters = inputs.get("parameters", {}) if isinstance(inputs, dict) else None
    if not isinstance(parameters, dict) or not all(
        isinstance(definition, dict) and definition.get("parameterType") in _KINDS
        for definition in parameters.values()
    ):
        raise _not_compiled_error("parameters of another form")
    return parameters


def name_of(text: str) -> str:
    """Return the name of a compiled pipeline.

    Raises:
        RecipeError: It is not one.
    """
    return str(_spec_of(text)["pipelineInfo"]["name"])


def _spec_of(text: str) -> dict[str, Any]:
    try:
        documents = parse_all_yaml(text)
    except DocumentError as error:
        raise _not_compiled_error(error.received) from error
    for document in documents:
        if isinstance(document, dict) and isinstance(document.get("root"), dict):
            information = document.get("pipelineInfo")
            if isinstance(information, dict) and "name" in information:
                return document
    raise _not_compiled_error("another document")


def _not_compiled_error(received: str) -> RecipeError:
    return RecipeError(
        "The compiled pipeline cannot be read",
        expected="YAML that `mammo pipeline compile` wrote",
        received=received,
    )


#: Characters of a value in a message.
_SHOWN = 200
_KINDS: dict[str, tuple[type, ...]] = {
    "STRING": (str,),
    "NUMBER_INTEGER": (int,),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": (bool,),
    "LIST": (list,),
    "STRUCT": (dict,),
}


def validate_parameters(text: str, values: dict[str, Any]) -> dict[str, Any]:
    """Validate values for the parameters of a compiled pipeline.

    Args:
        text: The compiled YAML.
        values: Name → value.

    Returns:
        The values.

    Raises:
        RecipeError: A name is unknown, a type is wrong, or a required parameter is missing.
    """
    known = parameters_of(text)
    for name, value in values.items():
        _require_no_placeholders(name, value)
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
                f"The parameter {name} is not valid",
                expected=f"a value of type {kind}: {_description(known[name])}",
                received=repr(value)[:_SHOWN],
            )
    for name, definition in known.items():
        if name not in values and not definition.get("isOptional"):
            raise RecipeError(
                f"The parameter {name} is missing",
                expected=_description(definition),
                received="none",
                hint=f"give it with --param {name}=…",
            )
    return values


def _description(definition: Mapping[str, Any]) -> str:
    """The help text of a parameter in one line."""
    return " ".join(definition.get("description", "a value").split())


def _require_no_placeholders(name: str, value: Any) -> None:
    """Refuse texts with two opening braces in a parameter, however deep.

    Argo takes them for placeholders wherever they are: it replaces some, and refuses a run with
    others by the name of a template. Quotes, backslashes and newlines travel as they are.

    Args:
        name: Name of the parameter.
        value: Its value.

    Raises:
        RecipeError: There is such a text, or a zero byte.
    """
    text = json.dumps(value, ensure_ascii=False)
    for mark, shown in (("{{", "two opening braces ({{)"), ("\\u0000", "a zero byte")):
        if mark in text:
            raise RecipeError(
                f"The parameter {name} cannot be passed to Kubeflow Pipelines",
                expected="text without {{ and zero bytes",
                received=shown,
                hint="write YAML and JSON with a space between braces: { {",
            )
