"""What lies in a model package, file by file."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mammo_core.errors import ModelError
from mammo_core.evaluation.aggregate import Unit
from mammo_core.preprocessing import Preprocessing

_Kind = TypeVar("_Kind", bound=BaseModel)

FORMAT = 3
"""Raised when packages of an older release can no longer be read, or a key is renamed."""

POSITIVE = "pos"
"""The class whose probability a package returns: malignant."""

TOLERANCE = 1e-3
"""Probabilities on another machine differ by the order of its sums (TF32 on GPUs: 1e-4)."""

MODEL = "model.keras"
PATCH_MODEL = "patch_classifier.keras"
SAVED_MODEL = "saved_model.pb"
ONNX = "model.onnx"
SIGNATURE = "model.sig"
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
    """package.json: what a package is.

    Attributes:
        format: Of the package folder.
        name: Of the model.
        model_id: Hash of the networks, preprocessing, label map, decisions and lineage's ids.
        versions: Of Python, Keras, its backend and this library when it was built.
        tolerance: How far an expected probability may be missed on another device.
        patch_size: Side of the patches the patch classifier was trained on (pixels); None
            without one, or when unknown.
        exports: Format (`saved_model`, `onnx`) → `exported`, or why it is not here.
        unit: What a probability is of: an `image`; or a `breast`, of which the network takes
            two views, `cc` and `mlo`, all zeros where a view was not taken.
        signed_by: SHA-256 (hex) of the public key's DER bytes, or `unsigned`. Tells which key
            to ask for; never trusted by itself.
    """

    format: int
    name: str
    model_id: str
    versions: dict[str, str]
    tolerance: float = Field(default=TOLERANCE, gt=0, le=0.01)
    patch_size: int | None = None
    exports: dict[str, str] = {}
    unit: Unit = "image"
    signed_by: str = "unsigned"


class LabelMap(_Content):
    """label_map.json: the classes of the two networks, by index.

    Attributes:
        image: Of the whole-image classifier; `pos` is malignant.
        patch: Of the patch classifier; empty when there is none.
    """

    image: dict[str, int]
    patch: dict[str, int] = {}


class TrainingData(_Content):
    """training_data.json: what the model was fitted to; images beyond it are warned of.

    An empty tuple or None means that it is not known.

    Attributes:
        description: Of the data, in a sentence.
        license: License of the data.
        weights: Where the first weights came from, and their license.
        split: Which split, in words.
        images: Split → number of images.
        patients: Split → number of patients.
        malignant: Split → number of malignant images.
        views: In the training split (`CC`, `MLO`).
        manufacturers: In the training split, as the headers' normalised names.
        bits_stored: In the training split.
        smallest: Least rows and least columns of a training image, before resizing.
    """

    description: str = ""
    license: str = ""
    weights: str = ""
    split: str = ""
    images: dict[str, int] = {}
    patients: dict[str, int] = {}
    malignant: dict[str, int] = {}
    views: tuple[str, ...] = ()
    manufacturers: tuple[str, ...] = ()
    bits_stored: tuple[int, ...] = ()
    smallest: tuple[int, int] | None = None


def model_id(
    digests: Mapping[str, str],
    preprocessing: Preprocessing,
    labels: LabelMap,
    lineage: Mapping[str, Any],
) -> str:
    """Return the content hash of a model.

    Of the lineage only ids of data count (keys that end in `_id` or `_ids`), and not the
    run's: training the same bytes again in another run gives the same model.

    Args:
        digests: SHA-256 of the package's files by name.
        preprocessing: Of the package.
        labels: Of the package.
        lineage: Of the package.

    Returns:
        64 hex digits.
    """
    deciding = (MODEL, PATCH_MODEL, RULES)
    content = {
        "files": {name: digests[name] for name in deciding if name in digests},
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
        ModelError: It is no plain JSON.
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


def read_content(folder: Path, name: str, kind: type[_Kind]) -> _Kind:
    """Read one of a package's JSON files, once it was verified.

    Raises:
        ModelError: It is not of that kind.
    """
    try:
        return kind.model_validate_json((folder / name).read_bytes())
    except ValidationError as error:
        raise _damaged(folder, name, str(error.errors()[0]["msg"])) from error


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Read one of a package's free JSON files, once it was verified.

    Raises:
        ModelError: It is no JSON object.
    """
    try:
        content = json.loads((folder / name).read_bytes())
    except ValueError as error:
        raise _damaged(folder, name, str(error)) from error
    if not isinstance(content, dict):
        raise _damaged(folder, name, type(content).__name__)
    return content


def _damaged(folder: Path, name: str, received: str) -> ModelError:
    return ModelError(
        f"{name} of the model package {folder.name} cannot be read",
        expected="the JSON object this version writes",
        received=received,
    )
