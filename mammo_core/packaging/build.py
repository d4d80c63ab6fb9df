"""Building a model package: written to a temporary folder, checked, then renamed."""

import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.errors import ModelError
from mammo_core.evaluation.aggregate import Unit, unit_of
from mammo_core.evaluation.decisions import DecisionRules
from mammo_core.packaging.card import INTENDED_USE, LIMITATIONS, card, markdown
from mammo_core.packaging.chain import CHAIN, Chain
from mammo_core.packaging.contents import (
    EXPECTED,
    FORMAT,
    MODEL,
    PATCH_MODEL,
    POSITIVE,
    RULES,
    LabelMapFile,
    PackageManifest,
    TrainingData,
    model_id,
    write_json,
)
from mammo_core.packaging.exports import Export, export
from mammo_core.packaging.keras_file import write_model
from mammo_core.packaging.patient_list import PATIENTS, PatientList
from mammo_core.packaging.prediction import predict
from mammo_core.packaging.samples import phantom_samples
from mammo_core.packaging.settings import SETTINGS, ModelSettings
from mammo_core.packaging.signatures.checksums import digest, write_sums
from mammo_core.preprocessing import Preprocessing

_SAMPLES = 16
"""Samples in a package at most; they are for a check, not a dataset."""


def build(
    folder: Path,
    *,
    name: str,
    image_model: Any,
    preprocessing: Preprocessing,
    label_map: Mapping[str, int],
    metrics: Mapping[str, Any] | None = None,
    lineage: Mapping[str, Any] | None = None,
    samples: npt.NDArray[np.uint16] | None = None,
    patch_model: Any = None,
    patch_classes: Sequence[str] = (),
    patch_size: int | None = None,
    rules: DecisionRules | None = None,
    training_data: TrainingData | None = None,
    intended_use: str = INTENDED_USE,
    limitations: Sequence[str] = LIMITATIONS,
    exports: Sequence[Export] = (),
    patients: PatientList | None = None,
    settings: ModelSettings | None = None,
    chain: Chain | None = None,
) -> PackageManifest:
    """Write a model package, unsigned: `registry.push` signs it as a version of a model.

    The same model, preprocessing, classes, thresholds and data give the same `model_id` at any
    time, on any machine and in any run.

    Args:
        folder: Folder to write; must not exist, or be empty.
        name: Name of the model.
        image_model: The whole-image classifier, a `keras.Model`: of one image, or of the two
            views of a breast, `cc` and `mlo` (`models.to_two_views`).
        preprocessing: How pixels reach it.
        label_map: Its classes; `pos` is malignant, for instance `{"neg": 0, "pos": 1}`.
        metrics: Results of the evaluation, as plain JSON (no NaN).
        lineage: Provenance, as plain JSON: `image_dataset_id`, `frame_id`, `run_id`, recipe,
            git sha, … Keys that end in `_id` or `_ids`, except `run_id`, are part of the
            model's id.
        samples: `(n, H, W) uint16, [0, 65535]` after `preprocessing.to_geometry`, of breasts
            `(n, 2, H, W)`; stored with their probabilities (at most 16). Default: phantoms,
            because packages are shared and patients' pixels must not be.
        patch_model: The patch classifier for heatmaps, or None.
        patch_classes: Its classes in the order of its outputs.
        patch_size: Side of its patches, pixels.
        rules: Calibration and operating points, fitted on validation.
        training_data: What the model was fitted to.
        intended_use: Section of the model card.
        limitations: Section of the model card.
        exports: Further formats of the network.
        patients: Who it was fitted to and tested on, as keyed digests.
        settings: The settings that it was trained and evaluated with.
        chain: The outputs that it rests on, by the digests of their manifests.

    Returns:
        The manifest (package.json).

    Raises:
        ModelError: The folder is in use, or an argument does not match the network.
    """
    labels = _labels(image_model, label_map, patch_model, patch_classes)
    unit = _unit(image_model, preprocessing)
    if samples is None:
        samples = phantom_samples(preprocessing, unit=unit)
    if not 1 <= len(samples) <= _SAMPLES:
        raise ModelError(
            "A package needs samples for its self check",
            expected=f"1 to {_SAMPLES} images",
            received=str(len(samples)),
        )
    metrics, lineage = dict(metrics or {}), dict(lineage or {})
    rules = rules or DecisionRules()
    data = training_data or TrainingData()
    with _temporary_folder(folder) as temporary:
        write_model(image_model, temporary / MODEL)
        if patch_model is not None:
            write_model(patch_model, temporary / PATCH_MODEL)
        for file, value in (
            ("lineage.json", lineage),
            ("metrics.json", metrics),
            ("preprocessing.json", preprocessing.model_dump(mode="json")),
            ("label_map.json", labels.model_dump(mode="json")),
            (RULES, rules.model_dump(mode="json")),
            ("training_data.json", data.model_dump(mode="json")),
        ):
            write_json(temporary / file, value)
        for file, part in ((PATIENTS, patients), (SETTINGS, settings), (CHAIN, chain)):
            if part is not None:
                write_json(temporary / file, part.model_dump(mode="json"))
        digests = {path.name: digest(path) for path in sorted(temporary.iterdir())}
        _write_expected(temporary, preprocessing, label_map, samples)
        manifest = PackageManifest(
            format=FORMAT,
            name=name,
            model_id=model_id(digests, preprocessing, labels, lineage),
            versions=_versions(),
            patch_size=patch_size if patch_model is not None else None,
            exports=export(temporary, exports),
            unit=unit,
        )
        write_json(temporary / "package.json", manifest.model_dump(mode="json"))
        content = card(
            manifest=manifest,
            preprocessing=preprocessing,
            label_map=label_map,
            rules=rules,
            data=data,
            metrics=metrics,
            lineage=lineage,
            intended_use=intended_use,
            limitations=limitations,
        )
        write_json(temporary / "card.json", content)
        (temporary / "MODEL_CARD.md").write_text(markdown(content), encoding="utf-8", newline="\n")
        write_sums(temporary)
    return manifest


@contextmanager
def _temporary_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder that is renamed to `folder` if no error is raised."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ModelError(
            f"The folder {folder.name} is in use",
            expected="a new or an empty folder",
            received="a folder with files",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield temporary
        temporary.chmod(0o755)  # mkdtemp's folder is private
        temporary.replace(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _write_expected(
    folder: Path,
    preprocessing: Preprocessing,
    label_map: Mapping[str, int],
    samples: npt.NDArray[np.uint16],
) -> None:
    # The probabilities are those of the file, not of the network in memory.
    from mammo_core.models.storage import load_model

    stored = load_model(folder / MODEL)
    expected = predict(stored, preprocessing, label_map, samples, batch_size=8)
    np.savez_compressed(folder / EXPECTED, pixels=samples, probabilities=expected)


def _labels(
    image_model: Any, label_map: Mapping[str, int], patch_model: Any, patch_classes: Sequence[str]
) -> LabelMapFile:
    if POSITIVE not in label_map or sorted(label_map.values()) != list(range(len(label_map))):
        raise ModelError(
            "This label map cannot be packaged",
            expected=f"consecutive indices from 0, one of them for {POSITIVE!r} (malignant)",
            received=str(dict(label_map)),
        )
    for role, network, classes in (
        ("whole-image classifier", image_model, len(label_map)),
        ("patch classifier", patch_model, len(patch_classes)),
    ):
        # A single sigmoid distinguishes two classes as well.
        allowed = (1, 2) if classes == 2 else (classes,)
        if network is not None and network.output_shape[-1] not in allowed:
            raise ModelError(
                f"The {role} does not match its classes",
                expected=f"{classes} outputs",
                received=f"{network.output_shape[-1]}",
            )
    patch = {name: index for index, name in enumerate(patch_classes)}
    return LabelMapFile(image=dict(label_map), patch=patch if patch_model is not None else {})


def _unit(image_model: Any, preprocessing: Preprocessing) -> Unit:
    unit = unit_of(image_model)
    if unit == "breast" and preprocessing.geometry.resize == "height":
        raise ModelError(
            "This classifier of two views cannot be packaged",
            expected="images of one size: resize `forced` or `pad`",
            received="resize `height`: the views of a breast differ in width",
        )
    return unit


def _versions() -> dict[str, str]:
    installed = {"python": platform.python_version()}
    for name in ("mammo-pipelines", "keras", "tensorflow", "tensorflow-cpu", "numpy"):
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return installed
