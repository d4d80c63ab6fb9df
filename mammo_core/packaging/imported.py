"""Networks saved by Keras 2.0.8, imported with the input contract they were trained on.

The published whole-image networks of the original system (docs/original-system.md, "Weight files
of Keras 2.0.8") are recognized by their file names; for any other file the contract must be given.
"""

import atexit
import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from pydantic import ValidationError

from mammo_core.documents import parse_json, read_bounded
from mammo_core.errors import ModelError, RecipeError
from mammo_core.packaging.build import build
from mammo_core.packaging.contents import MODEL, POSITIVE
from mammo_core.packaging.keras_file import import_keras, write_model
from mammo_core.packaging.signatures.checksums import digest
from mammo_core.preprocessing import Geometry, Preprocessing

CLASSES = ("neg", "pos")
"""Classes of the published whole-image networks, by index."""

MEANS: Mapping[str, float] = MappingProxyType({"ddsm": 52.18, "inbreast": 44.33})
"""Mean pixel of the training images, after the rescale factor 255 / 65535."""

PUBLISHED: Mapping[str, str] = MappingProxyType(
    {
        "ddsm_resnet50_s10_[512-512-1024]x2": "ddsm",
        "ddsm_vgg16_s10_512x1": "ddsm",
        "ddsm_vgg16_s10_[512-512-1024]x2_hybrid": "ddsm",
        "ddsm_YaroslavNet_s10": "ddsm",
        "inbreast_vgg16_512x1": "inbreast",
        "inbreast_vgg16_[512-512-1024]x2_hybrid": "inbreast",
    }
)
"""Names of the published files without `.h5`, and the dataset whose mean they subtract."""

_GEOMETRY = (1152, 896)
_CONTRACT_BYTES = 2**20
_NETWORK_ONLY = "Use a name ending in .keras to import the network without a package"


def published_mean(name: str) -> float | None:
    """Return the mean pixel that a published network subtracts; None for other files.

    Args:
        name: Name of the file; only letters and digits matter, as browsers rename brackets.
    """
    plain = _alphanumeric(name.removesuffix(".h5"))
    datasets = (data for file, data in PUBLISHED.items() if _alphanumeric(file) == plain)
    return next((MEANS[data] for data in datasets), None)


@dataclass(frozen=True)
class ImportResult:
    """The result of an import.

    Attributes:
        model: The `.keras` file.
        folder: The package, or None.
        content: The contents of the file and the contract, as plain data.
    """

    model: Path
    folder: Path | None
    content: Mapping[str, Any]


@dataclass(frozen=True)
class PatchNetwork:
    """A patch classifier of Keras 2.0.8 to include in a package, for heatmaps.

    Attributes:
        file: The `.h5` file.
        size: Side of its patches, pixels.
        classes: Names of its outputs by index; empty: class_0, class_1, …
    """

    file: Path
    size: int
    classes: tuple[str, ...] = ()


def import_model(
    file: Path,
    out: Path,
    *,
    preprocessing: str = "",
    classes: Sequence[str] = (),
    patch: PatchNetwork | None = None,
) -> ImportResult:
    """Convert a whole model of Keras 2.0.8 to a `.keras` file or a model package.

    Args:
        file: The `.h5` file (`model.save`).
        out: A name ending in `.keras`: the network, with its contract in `.json` beside it. Any
            other name: a package folder, which needs a contract and a whole-image classifier.
        preprocessing: `ddsm`, `inbreast`, a JSON file or a JSON object with fields of
            `Preprocessing` (at least `mean`); empty: by the name of a published file.
        classes: Names of the outputs by index; empty: neg, pos if there are two.
        patch: A patch classifier for the package's heatmaps, or None.

    Raises:
        ModelError: As in `import_keras2`; the contract does not match the network; a package
            has no contract.
        RecipeError: The contract cannot be read, or `out` is a folder.
    """
    mean = published_mean(file.name)
    contract = None if mean is None else {"mean": mean}
    if preprocessing:
        contract = read_contract(preprocessing)
    if out.suffix == ".keras" and (out.is_dir() or patch is not None):
        raise RecipeError(
            f"{out.name} cannot be written",
            expected="a file with one network; only a folder can hold a patch network too",
            received="a folder of that name" if out.is_dir() else "a patch network",
        )
    import_keras()
    from mammo_core.models.keras2.model import import_keras2

    model, report = import_keras2(file)
    steps = None if contract is None else _complete_contract(contract, model, file.name)
    names = _class_names(model, classes)
    content = {
        "imported": report.as_json(),
        "preprocessing": None if steps is None else steps.model_dump(mode="json"),
        "label_map": {name: index for index, name in enumerate(names)},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".keras":
        return ImportResult(_write(model, out, content), None, content)
    if steps is None:
        raise ModelError(
            f"The input contract of {file.name} is unknown",
            expected=f"a published file's name ({', '.join(PUBLISHED)}) or --preprocessing",
            received=file.name,
            hint=_NETWORK_ONLY,
        )
    _package(model, out, steps, content, patch)
    _require_same_weights(model, out / MODEL)
    return ImportResult(out / MODEL, out, content)


def temporary_package(network: Path) -> Path:
    """Build a temporary package from an imported `.keras` file.

    Args:
        network: A file written by `import_model`, with its contract beside it.

    Returns:
        A folder that is deleted when the process ends.

    Raises:
        ModelError: The contract is missing, unknown or for another file.
    """
    contract = network.with_suffix(".json")
    try:
        content = parse_json(read_bounded(contract, _CONTRACT_BYTES))
        usable = content["sha256"] == digest(network) and content["preprocessing"] is not None
        steps = Preprocessing.model_validate(content["preprocessing"]) if usable else None
        content = {name: content[name] for name in ("imported", "label_map")}
    except (OSError, ValueError, KeyError, TypeError):
        steps, content = None, {}
    if steps is None:
        raise ModelError(
            f"{network.name} is not a model package",
            expected=f"{contract.name} beside it, with the network's digest and input contract",
            received=f"no such {contract.name}",
            hint="Import it with --preprocessing",
        )
    import_keras()
    from mammo_core.models.storage import load_model

    folder = Path(tempfile.mkdtemp(prefix="mammo-model-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _package(load_model(network), folder / network.stem, steps, content, None)
    return folder / network.stem


def _write(model: Any, out: Path, content: Mapping[str, Any]) -> Path:
    """Write, read back, and rename the network last, so that its contract always exists."""
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    contract = out.with_suffix(".json")
    try:
        written = folder / out.name
        write_model(model, written)
        _require_same_weights(model, written)
        document = {**content, "sha256": digest(written)}
        text = json.dumps(document, indent=2, sort_keys=True, allow_nan=False)
        (folder / contract.name).write_text(text + "\n", encoding="utf-8", newline="\n")
        (folder / contract.name).replace(contract)
        written.replace(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return out


def _package(
    model: Any,
    out: Path,
    preprocessing: Preprocessing,
    content: Mapping[str, Any],
    patch: PatchNetwork | None,
) -> None:
    imported, labels = content["imported"], content["label_map"]
    if POSITIVE not in labels or len(model.inputs) != 1:
        raise ModelError(
            f"{imported['file']} is not a whole-image classifier that a package can contain",
            expected=f"one input image, and classes that include {POSITIVE!r}",
            received=f"{len(model.inputs)} inputs, classes {', '.join(labels)}",
            hint=_NETWORK_ONLY,
        )
    lineage = {
        "imported_from": imported["file"],
        "imported_file_id": imported["sha256"],
        "keras_version": imported["keras_version"],
    }
    patches: dict[str, Any] = {}
    if patch is not None:
        from mammo_core.models.keras2.model import import_keras2

        network, report = import_keras2(patch.file)
        lineage["imported_patch_file_id"] = report.sha256
        count = int(network.outputs[0].shape[-1])
        patches = {
            "patch_model": network,
            "patch_size": patch.size,
            "patch_classes": patch.classes or tuple(f"class_{k}" for k in range(count)),
        }
    build(
        out,
        name=Path(imported["file"]).stem,
        image_model=model,
        preprocessing=preprocessing,
        label_map=labels,
        lineage=lineage,
        **patches,
    )


def _require_same_weights(model: Any, path: Path) -> None:
    """Require that a written network equals the one in memory, weight by weight."""
    from mammo_core.models.storage import load_model

    stored = load_model(path).get_weights()
    weights = model.get_weights()
    if len(weights) != len(stored) or not all(map(np.array_equal, weights, stored)):
        raise ModelError(
            f"{path.name} does not contain the network it was written from",
            expected=f"{len(weights)} equal weights",
            received=f"{len(stored)} weights, not equal",
        )


def _alphanumeric(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.replace("%5B", "").replace("%5D", "").lower())


def read_contract(text: str) -> dict[str, Any]:
    """Return the fields of an input contract: a dataset's name, a JSON file or a JSON object.

    Raises:
        RecipeError: It cannot be read.
    """
    if text in MEANS:
        return {"mean": MEANS[text]}
    try:
        inline = text.lstrip().startswith("{")
        content = parse_json(text if inline else read_bounded(Path(text), _CONTRACT_BYTES))
    except (OSError, ValueError) as error:
        raise RecipeError(
            "The preprocessing cannot be read",
            expected=f"{', '.join(MEANS)}, a JSON file or a JSON object",
            received=f"{text[:100]!r} ({error})",
        ) from error
    if not isinstance(content, dict):
        raise RecipeError(
            "The preprocessing cannot be read",
            expected="a JSON object",
            received=type(content).__name__,
        )
    # Files written by an import have it under this key.
    inner = content.get("preprocessing", content)
    return inner if isinstance(inner, dict) else {}


def _complete_contract(contract: Mapping[str, Any], model: Any, name: str) -> Preprocessing:
    """Complete a contract from the input of the network, and require that they match."""
    height, width, channels = (*model.inputs[0].shape[1:], None, None, None)[:3]
    size = {"height": height or _GEOMETRY[0], "width": width or _GEOMETRY[1]}
    fields = {"channels": channels, **contract}
    fields["geometry"] = {**size, **dict(fields.get("geometry") or {})}
    preprocessing = validated_contract(fields, name)
    geometry = preprocessing.geometry
    if not _accepts(geometry, height, width) or preprocessing.channels != channels:
        raise ModelError(
            f"The preprocessing does not match {name}",
            expected=f"{height or 'any'}x{width or 'any'} pixels, {channels} channel(s)",
            received=f"{geometry.height}x{geometry.width}, {preprocessing.channels}",
        )
    return preprocessing


def validated_contract(fields: Mapping[str, Any], name: str) -> Preprocessing:
    """Return an input contract.

    Args:
        fields: Fields of `Preprocessing`.
        name: Name of the network's file in errors.

    Raises:
        RecipeError: They are not those of an input contract.
    """
    try:
        return Preprocessing.model_validate(dict(fields))
    except ValidationError as error:
        fault = error.errors()[0]
        raise RecipeError(
            f"The preprocessing for {name} cannot be used",
            expected="the fields of Preprocessing: mean, geometry, channels, rescale_factor, …",
            received=f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}",
        ) from error


def _accepts(geometry: Geometry, height: int | None, width: int | None) -> bool:
    narrow = geometry.resize == "height" and width is not None
    return height in (None, geometry.height) and width in (None, geometry.width) and not narrow


def _class_names(model: Any, given: Sequence[str]) -> tuple[str, ...]:
    count = int(model.outputs[0].shape[-1] or 0)
    if not given:
        return CLASSES if count == len(CLASSES) else tuple(f"class_{k}" for k in range(count))
    if len(given) != count or len(set(given)) != count:
        raise RecipeError(
            "The classes do not match the network",
            expected=f"{count} different names",
            received=", ".join(given),
        )
    return tuple(given)
