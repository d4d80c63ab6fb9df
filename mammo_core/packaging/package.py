"""Reading a model package. Nothing of it is used before every file was verified."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.errors import ModelError
from mammo_core.evaluation.aggregate import Unit, unit_of
from mammo_core.evaluation.averaging import average_variants
from mammo_core.evaluation.decisions import DecisionRules
from mammo_core.packaging.checksums import verify_sums
from mammo_core.packaging.contents import (
    EXPECTED,
    FORMAT,
    MODEL,
    PATCH_MODEL,
    REQUIRED,
    RULES,
    LabelMap,
    PackageManifest,
    TrainingData,
    model_id,
    read_content,
    read_json,
)
from mammo_core.packaging.keras_file import import_keras
from mammo_core.packaging.prediction import predict
from mammo_core.packaging.signing import verify_signature
from mammo_core.preprocessing import Preprocessing


@dataclass(frozen=True)
class SelfCheckResult:
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
        rules: Calibration and operating points; how probabilities were averaged.
        training_data: What it was fitted to.
        model: The whole-image classifier, a `keras.Model`.
    """

    folder: Path
    manifest: PackageManifest
    preprocessing: Preprocessing
    labels: LabelMap
    rules: DecisionRules
    training_data: TrainingData
    model: Any = field(repr=False)

    @property
    def model_id(self) -> str:
        """Content hash of the model."""
        return self.manifest.model_id

    @property
    def unit(self) -> Unit:
        """What one probability is of: an image, or a breast by both of its views."""
        return self.manifest.unit

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
        self,
        pixels: npt.NDArray[np.uint16],
        batch_size: int = 8,
        *,
        flips: bool = False,
        translation: int = 0,
    ) -> npt.NDArray[np.float32]:
        """Return the probability that each image, or each breast, shows a malignant lesion.

        Args:
            pixels: `(n, H, W) uint16, [0, 65535]`, after `preprocessing.to_geometry`. Where
                the unit is a breast `(n, 2, H, W)`: CC and MLO, all zeros where a view was
                not taken.
            batch_size: Images, or breasts, the network sees at once.
            flips: Average over the image and its three flips (original-system.md §7.5).
            translation: Average over nine places this many pixels apart; 0 for the one.

        Returns:
            `(n,) float32, [0, 1]`, not calibrated.

        Raises:
            ModelError: The pixels do not have the package's geometry, a breast has no view, or
                the network returns no probabilities.
        """

        def one(pixels: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
            return predict(self.model, self.preprocessing, self.labels.image, pixels, batch_size)

        return average_variants(one, pixels, flips=flips, translation=translation)


def verify(folder: Path, public_key: Path | None = None) -> PackageManifest:
    """Check a package against its digests and its id, without loading the networks.

    Args:
        folder: Of the package.
        public_key: PEM file of the key it must be signed by, from whom you trust; never from
            the package. None takes unsigned packages too, and checks no signature.

    Returns:
        Its manifest.

    Raises:
        ModelError: A file is changed, missing or surplus, the id does not fit, or it is not
            signed by that key.
    """
    digests = verify_sums(folder)
    # Before anything of it is parsed.
    if public_key is not None:
        verify_signature(folder, public_key)
    absent = [name for name in REQUIRED if name not in digests]
    if absent:
        raise ModelError(
            f"The model package {folder.name} is not whole",
            expected=", ".join(REQUIRED),
            received=f"none of the name {', '.join(absent)}",
        )
    told = read_json(folder, "package.json").get("format")
    if told != FORMAT:
        raise ModelError(
            f"The model package {folder.name} has another format",
            expected=f"format {FORMAT} in package.json",
            received=f"format {told}",
            hint="Use the version of mammo-pipelines it was built with.",
        )
    manifest = read_content(folder, "package.json", PackageManifest)
    found = model_id(
        digests,
        read_content(folder, "preprocessing.json", Preprocessing),
        read_content(folder, "label_map.json", LabelMap),
        read_json(folder, "lineage.json"),
    )
    if found != manifest.model_id:
        raise ModelError(
            f"The model package {folder.name} does not hold the model it names",
            expected=f"model id {manifest.model_id}",
            received=f"contents of model id {found}",
        )
    return manifest


def load(folder: Path, public_key: Path | None = None) -> Package:
    """Verify a package and load its whole-image classifier.

    Args:
        folder: Of the package.
        public_key: As in `verify`.

    Raises:
        ModelError: As in `verify`, or Keras cannot load the network.
    """
    manifest = verify(folder, public_key)
    model = _load_network(folder / MODEL)
    if unit_of(model) != manifest.unit:
        raise ModelError(
            f"The model package {folder.name} does not hold the network it describes",
            expected=f"a network that sees one {manifest.unit} at once",
            received=f"one that sees one {unit_of(model)}",
        )
    return Package(
        folder=folder,
        manifest=manifest,
        preprocessing=read_content(folder, "preprocessing.json", Preprocessing),
        labels=read_content(folder, "label_map.json", LabelMap),
        rules=read_content(folder, RULES, DecisionRules),
        training_data=read_content(folder, "training_data.json", TrainingData),
        model=model,
    )


def self_check(folder: Path, tolerance: float | None = None) -> SelfCheckResult:
    """Load a package and predict its own samples: see `require_expected_outputs`."""
    return require_expected_outputs(load(folder), tolerance)


def require_expected_outputs(package: Package, tolerance: float | None = None) -> SelfCheckResult:
    """Predict a package's own samples and compare with the probabilities stored beside them.

    Args:
        package: The package.
        tolerance: The largest difference that is no fault; the package's own by default.

    Raises:
        ModelError: A probability differs by more.
    """
    allowed = package.manifest.tolerance if tolerance is None else tolerance
    pixels, expected = read_expected(package.folder)
    found = package.predict(pixels)
    differences = np.abs(found - expected)
    if found.shape != expected.shape or not differences.max() <= allowed:
        worst = int(differences.argmax())
        raise ModelError(
            f"The model package {package.folder.name} does not reproduce its expected outputs",
            expected=f"probability {expected[worst]:.6f} ± {allowed:g} for sample {worst}",
            received=f"{found[worst]:.6f}",
            hint="Compare the versions in package.json with those installed here.",
        )
    return SelfCheckResult(len(expected), float(differences.max()))


def read_expected(folder: Path) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32]]:
    """Return a package's samples and their probabilities `(n,) float32`.

    The samples are `(n, H, W) uint16`, or `(n, 2, H, W)` where the unit is a breast.
    """
    with np.load(folder / EXPECTED, allow_pickle=False) as stored:
        return stored["pixels"], stored["probabilities"]


def _load_network(path: Path) -> Any:
    import_keras()
    from mammo_core.models.storage import load_model
    from mammo_core.training.prediction import set_jit_compile

    network = load_model(path)
    set_jit_compile(network)
    return network
