"""Building a model package: written aside, checked, then moved to its place in one step."""

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
from mammo_core.packaging.checksums import digest, write_sums
from mammo_core.packaging.contents import (
    EXPECTED,
    FORMAT,
    MODEL,
    PATCH_MODEL,
    POSITIVE,
    RULES,
    LabelMap,
    PackageManifest,
    TrainingData,
    model_id,
    write_json,
)
from mammo_core.packaging.exports import Export, export
from mammo_core.packaging.keras_file import write_model
from mammo_core.packaging.prediction import predict
from mammo_core.packaging.samples import phantom_samples
from mammo_core.packaging.signing import SigningKey, sign
from mammo_core.preprocessing import Preprocessing

_SAMPLES = 16
"""The most samples a package carries; it is a check, not a data set."""


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
    signing_key: SigningKey | None = None,
) -> PackageManifest:
    """Write a model package.

    The same model, preprocessing, classes, thresholds and data give the same `model_id`,
    whatever the time, the machine and the run.

    Args:
        folder: Where to; must not exist, or be empty.
        name: Of the model.
        image_model: The whole-image classifier, a `keras.Model`: of one image, or of the two
            views of a breast, `cc` and `mlo` (`models.to_two_views`).
        preprocessing: The way pixels reach it.
        label_map: Its classes; `pos` is malignant, for instance `{"neg": 0, "pos": 1}`.
        metrics: What was measured, as plain JSON (no NaN).
        lineage: Where it comes from, as plain JSON: `image_dataset_id`, `frame_id`, `run_id`,
            recipe, git sha, … Keys that end in `_id` or `_ids` (but the run's) are part of
            the model's id.
        samples: `(n, H, W) uint16, [0, 65535]` after `preprocessing.to_geometry`, of breasts
            `(n, 2, H, W)`; stored with their probabilities (at most 16). Phantoms by default:
            a package travels, and no patient's pixels may.
        patch_model: The patch classifier for heatmaps, or None.
        patch_classes: Its classes, in the order of its outputs.
        patch_size: Side of its patches, pixels.
        rules: Calibration and operating points, fitted on validation.
        training_data: What the model was fitted to.
        intended_use: Of the model card.
        limitations: Of the model card.
        exports: Further formats to write the network in.
        signing_key: Who signs; None leaves the package unsigned, and it says so.

    Returns:
        The manifest (package.json).

    Raises:
        ModelError: The folder is in use, or something does not fit the network.
    """
    labels = _labels(image_model, label_map, patch_model, patch_classes)
    unit = _unit(image_model, preprocessing)
    if samples is None:
        samples = phantom_samples(preprocessing, unit=unit)
    if not 1 <= len(samples) <= _SAMPLES:
        raise ModelError(
            "A package needs samples to prove itself by",
            expected=f"1 to {_SAMPLES} images",
            received=str(len(samples)),
        )
    signed_by = signing_key.public_id() if signing_key is not None else "unsigned"
    metrics, lineage = dict(metrics or {}), dict(lineage or {})
    rules = rules or DecisionRules()
    data = training_data or TrainingData()
    with _aside(folder) as aside:
        write_model(image_model, aside / MODEL)
        if patch_model is not None:
            write_model(patch_model, aside / PATCH_MODEL)
        for file, content in (
            ("lineage.json", lineage),
            ("metrics.json", metrics),
            ("preprocessing.json", preprocessing.model_dump(mode="json")),
            ("label_map.json", labels.model_dump(mode="json")),
            (RULES, rules.model_dump(mode="json")),
            ("training_data.json", data.model_dump(mode="json")),
        ):
            write_json(aside / file, content)
        deciding = {path.name: digest(path) for path in sorted(aside.iterdir())}
        _write_expected(aside, preprocessing, label_map, samples)
        manifest = PackageManifest(
            format=FORMAT,
            name=name,
            model_id=model_id(deciding, preprocessing, labels, lineage),
            versions=_versions(),
            patch_size=patch_size if patch_model is not None else None,
            exports=export(aside, exports),
            unit=unit,
            signed_by=signed_by,
        )
        write_json(aside / "package.json", manifest.model_dump(mode="json"))
        shown = card(
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
        write_json(aside / "card.json", shown)
        (aside / "MODEL_CARD.md").write_text(markdown(shown), encoding="utf-8", newline="\n")
        if signing_key is not None:
            sign(aside, signing_key)
        write_sums(aside)
    return manifest


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """Give a folder that becomes `folder` when all went well."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ModelError(
            f"The folder {folder.name} is in use",
            expected="a new or an empty folder",
            received="one that holds something",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield aside
        aside.chmod(0o755)  # mkdtemp's folder is the owner's alone
        aside.replace(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _write_expected(
    folder: Path,
    preprocessing: Preprocessing,
    label_map: Mapping[str, int],
    samples: npt.NDArray[np.uint16],
) -> None:
    # The probabilities are those of the file that is shipped, not of the network in memory.
    from mammo_core.models.storage import load_model

    shipped = load_model(folder / MODEL)
    expected = predict(shipped, preprocessing, label_map, samples, batch_size=8)
    np.savez_compressed(folder / EXPECTED, pixels=samples, probabilities=expected)


def _labels(
    image_model: Any, label_map: Mapping[str, int], patch_model: Any, patch_classes: Sequence[str]
) -> LabelMap:
    if POSITIVE not in label_map or sorted(label_map.values()) != list(range(len(label_map))):
        raise ModelError(
            "This label map cannot be packaged",
            expected=f"indices from 0 on, one of them {POSITIVE!r} (malignant)",
            received=str(dict(label_map)),
        )
    for what, network, classes in (
        ("whole-image classifier", image_model, len(label_map)),
        ("patch classifier", patch_model, len(patch_classes)),
    ):
        # One sigmoid tells two classes apart as well.
        allowed = (1, 2) if classes == 2 else (classes,)
        if network is not None and network.output_shape[-1] not in allowed:
            raise ModelError(
                f"The {what} does not fit its classes",
                expected=f"{classes} outputs",
                received=f"{network.output_shape[-1]}",
            )
    patch = {name: index for index, name in enumerate(patch_classes)}
    return LabelMap(image=dict(label_map), patch=patch if patch_model is not None else {})


def _unit(image_model: Any, preprocessing: Preprocessing) -> Unit:
    unit = unit_of(image_model)
    if unit == "breast" and preprocessing.geometry.resize == "height":
        raise ModelError(
            "This classifier of two views cannot be packaged",
            expected="images of one size: resize `forced` or `pad`",
            received="resize `height`: the views of a breast have widths of their own",
        )
    return unit


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("mammo-pipelines", "keras", "tensorflow", "tensorflow-cpu", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
