"""The files of a model package."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mammo_core.documents import (
    MAXIMUM_JSON_KEYS,
    DocumentError,
    parse_json,
    read_bounded,
    require_json_limits,
)
from mammo_core.errors import ModelError
from mammo_core.evaluation.aggregate import Unit
from mammo_core.imaging.plausibility import Distribution
from mammo_core.preprocessing import Preprocessing
from mammo_core.sources.auditing.policy import ImagePolicy
from mammo_core.sources.card.terms import Terms

_Model = TypeVar("_Model", bound=BaseModel)

FORMAT = 4
"""Raised when packages of an older release can no longer be read, or a key is renamed."""

#: Bytes and values of a JSON file of a package: predictions of thousands of images fit.
_MAXIMUM_BYTES = 2**24
_MAXIMUM_VALUES = 1_000_000

POSITIVE = "pos"
"""The class whose probability a package returns: malignant."""

TOLERANCE = 1e-3
"""Probabilities on another machine differ by the order of summation (TF32 on GPUs: 1e-4)."""

MODEL = "model.keras"
PATCH_MODEL = "patch_classifier.keras"
SAVED_MODEL = "saved_model.pb"
ONNX = "model.onnx"
SIGNATURE = "model.sig"
RELEASE = "release.json"
EXPECTED = "expected.npz"
RULES = "decision_rules.json"
REQUIRED = (
    MODEL,
    "preprocessing.json",
    "label_map.json",
    RULES,
    "training_data.json",
    "card.json",
    "MODEL_CARD.md",
    "lineage.json",
    EXPECTED,
    "metrics.json",
    "package.json",
)


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PackageManifest(_Content):
    """package.json: the description of a package.

    Attributes:
        format: Number of the package format.
        name: Name of the model.
        model_id: Hash of the networks, preprocessing, label map, decision rules and the ids in
            the lineage.
        versions: Versions of Python, Keras, its backend and this library at build time.
        tolerance: Largest difference allowed between an expected probability and the one on
            another device.
        patch_size: Side of the patches the patch classifier was trained on (pixels); None
            without one, or if unknown.
        exports: Format (`saved_model`, `onnx`) → `exported`, or why it is missing.
        unit: What a probability is for: an `image`; or a `breast`, for which the network takes
            two views, `cc` and `mlo`, all zeros for a view that was not taken.
    """

    format: int
    name: str
    model_id: str
    versions: dict[str, str]
    tolerance: float = Field(default=TOLERANCE, gt=0, le=0.01)
    patch_size: int | None = None
    exports: dict[str, str] = {}
    unit: Unit = "image"


class Release(_Content):
    """release.json: which version of which model a package is; part of what is signed.

    A version cannot be passed off as another one, nor as another model.

    Attributes:
        name: Name of the model in its registry.
        version: Its version there.
        model_id: Its model id.
        signed_by: SHA-256 (hex) of the public key's DER bytes, or `unsigned`. It shows which
            key is needed, and is never trusted by itself.
    """

    name: str
    version: int = Field(ge=1)
    model_id: str
    signed_by: str = "unsigned"


class LabelMapFile(_Content):
    """label_map.json: the classes of the two networks, by index.

    Attributes:
        image: Classes of the whole-image classifier; `pos` is malignant.
        patch: Classes of the patch classifier; empty if there is none.
    """

    image: dict[str, int]
    patch: dict[str, int] = {}


class TrainingData(_Content):
    """training_data.json: what the model was fitted to; images unlike it get a warning.

    An empty tuple or None means unknown.

    Attributes:
        description: Description of the data, in a sentence.
        license: License of the data.
        terms: License and terms of all data that the model and those it started from were
            fitted to, with what they forbid.
        acknowledged: Names of terms whose prohibitions do not stop a push, as the recipe says.
        weights: Origin of the initial weights, and their license.
        split: Name of the split.
        images: Split → number of images.
        patients: Split → number of patients.
        malignant: Split → number of malignant images.
        views: In the training split (`CC`, `MLO`).
        manufacturers: In the training split, as normalized names from the headers.
        bits_stored: In the training split.
        smallest: Smallest number of rows and of columns of a training image, before resizing.
        policy: What was done with images that are not plain mammograms; scoring does the same.
        withheld: Cause → number of patients who are on no side, as in the frame.
        gray_levels: Measure of gray levels → its distribution over the training images, before they
            were resized; images outside its range get no decision.
    """

    description: str = ""
    license: str = ""
    terms: tuple[Terms, ...] = ()
    acknowledged: tuple[str, ...] = ()
    weights: str = ""
    split: str = ""
    images: dict[str, int] = {}
    patients: dict[str, int] = {}
    malignant: dict[str, int] = {}
    views: tuple[str, ...] = ()
    manufacturers: tuple[str, ...] = ()
    bits_stored: tuple[int, ...] = ()
    smallest: tuple[int, int] | None = None
    policy: ImagePolicy = ImagePolicy()
    withheld: dict[str, int] = {}
    gray_levels: dict[str, Distribution] = {}


def model_id(
    digests: Mapping[str, str],
    preprocessing: Preprocessing,
    labels: LabelMapFile,
    lineage: Mapping[str, Any],
) -> str:
    """Return the content hash of a model.

    Of the lineage only ids of data count: keys that end in `_id` or `_ids`, except `run_id`.
    Training on the same bytes in another run gives the same model.

    Args:
        digests: SHA-256 of the package's files by name.
        preprocessing: Preprocessing of the package.
        labels: Classes of the package.
        lineage: Lineage of the package.

    Returns:
        64 hex digits.
    """
    hashed = (MODEL, PATCH_MODEL, RULES)
    content = {
        "files": {name: digests[name] for name in hashed if name in digests},
        "preprocessing": preprocessing.model_dump(mode="json"),
        "labels": labels.model_dump(mode="json"),
        "lineage": {
            key: value
            for key, value in lineage.items()
            if key.endswith(("_id", "_ids")) and key != "run_id"
        },
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write one of a package's JSON files: sorted, indented, no NaN.

    Raises:
        ModelError: It is not plain JSON.
    """
    try:
        text = json.dumps(
            dict(value), indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False
        )
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{path.name} of a model package cannot be written",
            expected="plain JSON: text, finite numbers, lists and mappings",
            received=str(error),
        ) from error
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def read_content(folder: Path, name: str, model: type[_Model]) -> _Model:
    """Read one of a package's JSON files, after verification.

    Raises:
        ModelError: It does not match the model.
    """
    try:
        data = read_bounded(folder / name, _MAXIMUM_BYTES)
        require_json_limits(data, max_values=_MAXIMUM_VALUES, max_keys=MAXIMUM_JSON_KEYS)
        return model.model_validate_json(data)
    except DocumentError as error:
        raise _damaged_error(folder, name, error.received) from error
    except ValidationError as error:
        raise _damaged_error(folder, name, str(error.errors()[0]["msg"])) from error


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Read one of a package's JSON files without a schema, after verification.

    Raises:
        ModelError: It is not a JSON object.
    """
    try:
        content = parse_json(
            read_bounded(folder / name, _MAXIMUM_BYTES), max_values=_MAXIMUM_VALUES
        )
    except ValueError as error:
        raise _damaged_error(folder, name, str(error)) from error
    if not isinstance(content, dict):
        raise _damaged_error(folder, name, type(content).__name__)
    return content


def _damaged_error(folder: Path, name: str, received: str) -> ModelError:
    return ModelError(
        f"{name} of the model package {folder.name} cannot be read",
        expected="the JSON object that this release writes",
        received=received,
    )
