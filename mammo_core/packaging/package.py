"""Reading a model package. Nothing of it is used before every file was verified."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from mammo_core.errors import ModelError
from mammo_core.packaging.checksums import verify_sums
from mammo_core.packaging.keras_file import import_keras
from mammo_core.preprocessing import Preprocessing

_Kind = TypeVar("_Kind", bound=BaseModel)

FORMAT = 1
"""Raised when a reader of this version could not read what a later one writes."""

POSITIVE = "pos"
"""The class whose probability a package returns: malignant."""

TOLERANCE = 1e-3
"""Probabilities on another machine differ by the order of its sums (TF32 on GPUs: 1e-4)."""

MODEL = "model.keras"
PATCH_MODEL = "patch_classifier.keras"
REQUIRED = (
    MODEL,
    "preprocessing.json",
    "label_map.json",
    "card.json",
    "MODEL_CARD.md",
    "lineage.json",
    "expected.npz",
    "metrics.json",
    "package.json",
)


class PackageManifest(BaseModel):
    """package.json: what a package is.

    Attributes:
        format: Of the package folder.
        name: Of the model.
        model_id: Hash of the networks, preprocessing, label map and the lineage's ids.
        versions: Of Python, Keras, its backend and this library when it was built.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    name: str
    model_id: str
    versions: dict[str, str]


class LabelMap(BaseModel):
    """label_map.json: the classes of the two networks, by index.

    Attributes:
        image: Of the whole-image classifier; `pos` is malignant.
        patch: Of the patch classifier; empty when there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: dict[str, int]
    patch: dict[str, int] = {}


@dataclass(frozen=True)
class SelfCheck:
    """What a package gave for its own samples.

    Attributes:
        samples: How many it has.
        largest_difference: Between a stored and a reproduced probability.
    """

    samples: int
    largest_difference: float


@dataclass(frozen=True)
class Package:
    """A verified package, ready to predict.

    Attributes:
        folder: Where it is.
        manifest: package.json.
        preprocessing: The way pixels reach the network.
        labels: The classes.
        model: The whole-image classifier, a `keras.Model`.
    """

    folder: Path
    manifest: PackageManifest
    preprocessing: Preprocessing
    labels: LabelMap
    model: Any = field(repr=False)

    @property
    def model_id(self) -> str:
        """Content hash of the model."""
        return self.manifest.model_id

    @property
    def label_map(self) -> dict[str, int]:
        """Classes of the whole-image classifier."""
        return self.labels.image

    @cached_property
    def patch_model(self) -> Any:
        """The patch classifier for heatmaps (`keras.Model`), or None."""
        path = self.folder / PATCH_MODEL
        return _load_network(path) if path.is_file() else None

    def predict(
        self, pixels: npt.NDArray[np.uint16], batch_size: int = 8
    ) -> npt.NDArray[np.float32]:
        """Return the probability that each image shows a malignant lesion.

        Args:
            pixels: `(n, H, W) uint16, [0, 65535]`, after `preprocessing.to_geometry`.
            batch_size: Images the network sees at once.

        Returns:
            `(n,) float32, [0, 1]`.

        Raises:
            ModelError: The pixels do not have the package's geometry, or the network returns
                no probabilities.
        """
        return predict(self.model, self.preprocessing, self.labels.image, pixels, batch_size)


def verify(folder: Path) -> PackageManifest:
    """Check a package against its digests and its id, without loading the networks.

    Args:
        folder: Of the package.

    Returns:
        Its manifest.

    Raises:
        ModelError: A file is changed, missing or surplus, or the id does not fit.
    """
    digests = verify_sums(folder)
    absent = [name for name in REQUIRED if name not in digests]
    if absent:
        raise ModelError(
            f"The model package {folder.name} is not whole",
            expected=", ".join(REQUIRED),
            received=f"none of the name {', '.join(absent)}",
        )
    manifest = _read(folder, "package.json", PackageManifest)
    if manifest.format != FORMAT:
        raise ModelError(
            f"The model package {folder.name} has another format",
            expected=f"format {FORMAT}",
            received=f"format {manifest.format}",
            hint="Use the version of mammo-pipelines it was built with.",
        )
    found = model_id(
        digests,
        _read(folder, "preprocessing.json", Preprocessing),
        _read(folder, "label_map.json", LabelMap),
        _read_json(folder, "lineage.json"),
    )
    if found != manifest.model_id:
        raise ModelError(
            f"The model package {folder.name} does not hold the model it names",
            expected=f"model id {manifest.model_id}",
            received=f"contents of model id {found}",
        )
    return manifest


def load(folder: Path) -> Package:
    """Verify a package and load its whole-image classifier.

    Args:
        folder: Of the package.

    Raises:
        ModelError: As in `verify`, or Keras cannot load the network.
    """
    manifest = verify(folder)
    return Package(
        folder=folder,
        manifest=manifest,
        preprocessing=_read(folder, "preprocessing.json", Preprocessing),
        labels=_read(folder, "label_map.json", LabelMap),
        model=_load_network(folder / MODEL),
    )


def selfcheck(folder: Path, tolerance: float = TOLERANCE) -> SelfCheck:
    """Predict a package's own samples and compare with the probabilities stored beside them.

    Args:
        folder: Of the package.
        tolerance: The largest difference that is no fault.

    Raises:
        ModelError: The package cannot be loaded, or a probability differs by more.
    """
    package = load(folder)
    with np.load(folder / "expected.npz", allow_pickle=False) as stored:
        pixels, expected = stored["pixels"], stored["probabilities"]
    found = package.predict(pixels)
    differences = np.abs(found - expected)
    if found.shape != expected.shape or not differences.max() <= tolerance:
        worst = int(differences.argmax())
        raise ModelError(
            f"The model package {folder.name} does not reproduce its expected outputs",
            expected=f"probability {expected[worst]:.6f} ± {tolerance:g} for sample {worst}",
            received=f"{found[worst]:.6f}",
            hint="Compare the versions in package.json with those installed here.",
        )
    return SelfCheck(len(expected), float(differences.max()))


def predict(
    model: Any,
    preprocessing: Preprocessing,
    label_map: Mapping[str, int],
    pixels: npt.NDArray[np.uint16],
    batch_size: int,
) -> npt.NDArray[np.float32]:
    """See `Package.predict`; here for a network that is not packaged yet."""
    geometry = preprocessing.geometry
    fits = pixels.ndim == 3 and pixels.shape[1] == geometry.height
    if geometry.resize != "height":
        fits = fits and pixels.shape[2] == geometry.width
    if not fits or pixels.dtype != np.uint16 or batch_size < 1:
        raise ModelError(
            "These pixels do not fit the model",
            expected=f"(n, {geometry.height}, {geometry.width}) uint16 (resize "
            f"{geometry.resize}), batches of at least 1",
            received=f"{pixels.shape} {pixels.dtype}, batches of {batch_size}",
            hint="Bring images to the geometry by preprocessing.to_geometry.",
        )
    parts = [
        _positive(
            np.asarray(
                model.predict_on_batch(preprocessing.to_network(pixels[start : start + batch_size]))
            ),
            label_map,
        )
        for start in range(0, len(pixels), batch_size)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


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
    content = {
        "networks": {name: digests[name] for name in (MODEL, PATCH_MODEL) if name in digests},
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


def _positive(
    outputs: npt.NDArray[np.float32], label_map: Mapping[str, int]
) -> npt.NDArray[np.float32]:
    """Take the malignant class: a column of a softmax, or the one sigmoid."""
    if outputs.ndim != 2 or outputs.shape[1] not in (1, len(label_map)):
        raise ModelError(
            "The network does not fit its label map",
            expected=f"outputs of shape (n, {len(label_map)}) for {sorted(label_map)}",
            received=f"shape {outputs.shape}",
        )
    column = 0 if outputs.shape[1] == 1 else label_map[POSITIVE]
    probabilities = outputs[:, column].astype(np.float32)
    # Softmax in half precision may pass 1 by a rounding step.
    if not (np.isfinite(probabilities).all() and np.abs(probabilities - 0.5).max() <= 0.501):
        raise ModelError(
            "The network returned no probabilities",
            expected="numbers in [0, 1]",
            received=f"{probabilities.min()} to {probabilities.max()}",
        )
    return np.clip(probabilities, 0, 1)


def _load_network(path: Path) -> Any:
    import_keras()
    from mammo_core.models.storage import load_model

    return load_model(path)


def _read(folder: Path, name: str, kind: type[_Kind]) -> _Kind:
    try:
        return kind.model_validate_json((folder / name).read_bytes())
    except ValidationError as error:
        raise _damaged(folder, name, str(error.errors()[0]["msg"])) from error


def _read_json(folder: Path, name: str) -> dict[str, Any]:
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
