"""Reading a model package. Nothing in it is used before every file has been verified."""

from collections.abc import Mapping
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
from mammo_core.packaging.contents import (
    FORMAT,
    MODEL,
    PATCH_MODEL,
    RELEASE,
    REQUIRED,
    RULES,
    SIGNATURE,
    LabelMapFile,
    PackageManifest,
    Release,
    TrainingData,
    model_id,
    read_content,
    read_json,
)
from mammo_core.packaging.keras_file import import_keras
from mammo_core.packaging.prediction import predict
from mammo_core.packaging.signatures.checksums import verify_sums
from mammo_core.packaging.signatures.signing import verify_signature
from mammo_core.packaging.signatures.trust import UNSIGNED, TrustedKey, TrustPolicy
from mammo_core.preprocessing import Preprocessing


@dataclass(frozen=True)
class Package:
    """A verified package, ready to predict.

    Attributes:
        folder: Local folder.
        manifest: package.json.
        preprocessing: How pixels reach the network.
        labels: The classes.
        rules: Calibration and operating points, and how probabilities are averaged.
        training_data: What it was fitted to.
        model: The whole-image classifier, a `keras.Model`.
    """

    folder: Path
    manifest: PackageManifest
    preprocessing: Preprocessing
    labels: LabelMapFile
    rules: DecisionRules
    training_data: TrainingData
    model: Any = field(repr=False)

    @property
    def model_id(self) -> str:
        """Content hash of the model."""
        return self.manifest.model_id

    @property
    def unit(self) -> Unit:
        """What one probability is for: an image, or a breast with both views."""
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
            pixels: `(n, H, W) uint16, [0, 65535]`, after `preprocessing.to_geometry`. If the
                unit is a breast `(n, 2, H, W)`: CC and MLO, all zeros for a view that was not
                taken.
            batch_size: Images, or breasts, in a batch.
            flips: Average over the image and its three flips.
            translation: Average over nine positions this many pixels apart; 0 for one.

        Returns:
            `(n,) float32, [0, 1]`, not calibrated.

        Raises:
            ModelError: The pixels do not have the package's geometry, a breast has no view, or
                the network does not return probabilities.
        """

        def predict_once(pixels: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
            return predict(self.model, self.preprocessing, self.labels.image, pixels, batch_size)

        return average_variants(predict_once, pixels, flips=flips, translation=translation)


@dataclass(frozen=True)
class OpenedPackage:
    """A package whose files and signature were verified; `registry.open_package` returns it.

    Attributes:
        folder: Local folder.
        manifest: package.json.
        release: Which version of which model it is; None for a package that was never pushed.
        digests: SHA-256 (hex) of each file by name, as verified.
        trust: The keys that its signature was verified with; None: only digests were compared.
        key: The key that signed; None: the signature was not verified, or there is none.
    """

    folder: Path
    manifest: PackageManifest
    release: Release | None
    digests: Mapping[str, str] = field(repr=False)
    trust: TrustPolicy | None = None
    key: TrustedKey | None = None

    @property
    def model_id(self) -> str:
        """Content hash of the model."""
        return self.manifest.model_id

    @property
    def name(self) -> str:
        """Name of the model: as it was pushed, or as it was built."""
        return self.release.name if self.release is not None else self.manifest.name

    @property
    def version(self) -> int | None:
        """Version of the model; None for a package that was never pushed."""
        return self.release.version if self.release is not None else None

    @property
    def signed_by(self) -> str:
        """Id of the key that is said to have signed it, or `unsigned`."""
        return self.release.signed_by if self.release is not None else UNSIGNED

    def verify_again(self) -> None:
        """Require that the package is still the one that was opened, right before it is used.

        Raises:
            ModelError: A file was changed since.
        """
        again = verify(self.folder, self.trust)
        if again.digests != self.digests:
            raise ModelError(
                f"The model package {self.folder.name} was replaced while it was in use",
                expected=f"model id {self.model_id}",
                received=f"model id {again.model_id}",
            )

    def load(self) -> Package:
        """Verify the files again and load the whole-image classifier.

        Raises:
            ModelError: A file was changed since, or Keras cannot load the network.
        """
        self.verify_again()
        return _load(self)


def verify(folder: Path, trust: TrustPolicy | None = None) -> OpenedPackage:
    """Verify the digests and the id of a package, without loading its networks.

    Use `registry.open_package` for any package that this process did not make itself: it knows
    the trust policy, and what the registry says about the package.

    Args:
        folder: Folder of the package.
        trust: The keys it must be signed by; None checks no signature.

    Raises:
        ModelError: A file is changed, missing or surplus, the id does not match, it was written
            by another release, or it is not signed by a trusted key.
    """
    digests = verify_sums(folder)
    key = None
    # Before any of its files is parsed.
    if trust is not None:
        file = folder / SIGNATURE
        signature = file.read_bytes() if SIGNATURE in digests else None
        key = verify_signature(digests, signature, trust, f"the model package {folder.name}")
    absent = [name for name in REQUIRED if name not in digests]
    if absent:
        raise ModelError(
            f"The model package {folder.name} is incomplete",
            expected=", ".join(REQUIRED),
            received=f"no {', '.join(absent)}",
        )
    written = read_json(folder, "package.json").get("format")
    if written != FORMAT:
        raise ModelError(
            f"The model package {folder.name} was written by another release",
            expected=f"format {FORMAT} in package.json",
            received=f"format {written}",
            hint="Build it again: `mammo pipeline run --recipe RECIPE` trains and pushes a model, "
            "`mammo models import-keras2 FILE.h5 PACKAGE` imports one.",
        )
    manifest = read_content(folder, "package.json", PackageManifest)
    actual = model_id(
        digests,
        read_content(folder, "preprocessing.json", Preprocessing),
        read_content(folder, "label_map.json", LabelMapFile),
        read_json(folder, "lineage.json"),
    )
    if actual != manifest.model_id:
        raise ModelError(
            f"The model package {folder.name} does not contain the model it names",
            expected=f"model id {manifest.model_id}",
            received=f"contents with model id {actual}",
        )
    release = read_content(folder, RELEASE, Release) if RELEASE in digests else None
    _require_release(folder, release, manifest, key, signed=SIGNATURE in digests)
    return OpenedPackage(folder, manifest, release, digests, trust, key)


def load(folder: Path, trust: TrustPolicy | None = None) -> Package:
    """Verify a package and load its whole-image classifier.

    Args:
        folder: Folder of the package.
        trust: As in `verify`.

    Raises:
        ModelError: As in `verify`, or Keras cannot load the network.
    """
    return _load(verify(folder, trust))


def _require_release(
    folder: Path,
    release: Release | None,
    manifest: PackageManifest,
    key: TrustedKey | None,
    *,
    signed: bool,
) -> None:
    """Require that release.json, if there is one, is about this package and its signature."""
    if release is None and not signed:
        return
    expected = {"model_id": manifest.model_id}
    if key is not None or not signed:
        expected["signed_by"] = key.id if key is not None else UNSIGNED
    received = {} if release is None else release.model_dump(include=set(expected))
    if received != expected:
        raise ModelError(
            f"{RELEASE} of the model package {folder.name} is about another package",
            expected=f"{RELEASE} with {expected}",
            received=str(received) if received else f"no {RELEASE}",
        )


def _load(opened: OpenedPackage) -> Package:
    folder, manifest = opened.folder, opened.manifest
    model = _load_network(folder / MODEL)
    if unit_of(model) != manifest.unit:
        raise ModelError(
            f"The model package {folder.name} does not contain the network it describes",
            expected=f"a network that takes one {manifest.unit}",
            received=f"a network that takes one {unit_of(model)}",
        )
    return Package(
        folder=folder,
        manifest=manifest,
        preprocessing=read_content(folder, "preprocessing.json", Preprocessing),
        labels=read_content(folder, "label_map.json", LabelMapFile),
        rules=read_content(folder, RULES, DecisionRules),
        training_data=read_content(folder, "training_data.json", TrainingData),
        model=model,
    )


def _load_network(path: Path) -> Any:
    import_keras()
    from mammo_core.models.storage import load_model
    from mammo_core.training.prediction import set_jit_compile

    network = load_model(path)
    set_jit_compile(network)
    return network
