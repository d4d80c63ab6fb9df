"""Networks that Keras 2.0.8 saved, with the input contract they were trained on.

The published whole-image networks of the original system (original-system.md §10) say by
their file names what they take; of any other file it must be said.
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

from mammo_core.errors import ModelError, RecipeError
from mammo_core.packaging.build import build
from mammo_core.packaging.checksums import digest
from mammo_core.packaging.contents import MODEL, POSITIVE
from mammo_core.packaging.keras_file import import_keras, write_model
from mammo_core.preprocessing import Geometry, Preprocessing

CLASSES = ("neg", "pos")
"""Of the published whole-image networks, by index."""

MEANS: Mapping[str, float] = MappingProxyType({"ddsm": 52.18, "inbreast": 44.33})
"""Mean pixel of the training images, in units after the rescale factor 255 / 65535."""

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
"""The published files' names without `.h5`, and whose mean they take."""

_GEOMETRY = (1152, 896)
_ALONE = "Give a name in .keras to import the network alone"


def published_mean(name: str) -> float | None:
    """Return the mean pixel that a published file's network takes off; None of other files.

    Args:
        name: Of the file; letters and digits count, as browsers rename files with brackets.
    """
    plain = _plain(name.removesuffix(".h5"))
    return next((MEANS[of] for known, of in PUBLISHED.items() if _plain(known) == plain), None)


@dataclass(frozen=True)
class Imported:
    """What an import wrote.

    Attributes:
        model: The `.keras` file.
        folder: The package, or None.
        content: What was found in the file and the contract: plain data.
    """

    model: Path
    folder: Path | None
    content: Mapping[str, Any]


@dataclass(frozen=True)
class PatchNetwork:
    """A patch classifier of Keras 2.0.8 that goes into a package, for heatmaps.

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
) -> Imported:
    """Turn a whole model of Keras 2.0.8 into a `.keras` file or a model package.

    Args:
        file: The `.h5` file (`model.save`).
        out: A name in `.keras`: the network, and its contract beside it (`.json`). Any other
            name: a package folder, which needs a contract and a whole-image classifier.
        preprocessing: `ddsm`, `inbreast`, a JSON file or a JSON object with fields of
            `Preprocessing` (`mean` at least); empty: by the published file's name, if it is
            one.
        classes: Names of the outputs by index; empty: neg, pos where there are two.
        patch: A patch classifier for the package's heatmaps, or None.

    Raises:
        ModelError: As in `import_keras2`; the contract does not fit the network; a package
            without a contract.
        RecipeError: The contract cannot be read, or `out` is a folder.
    """
    mean = published_mean(file.name)
    contract = None if mean is None else {"mean": mean}
    if preprocessing:
        contract = _given(preprocessing)
    if out.suffix == ".keras" and (out.is_dir() or patch is not None):
        raise RecipeError(
            f"{out.name} cannot be written",
            expected="a file, one network; a folder holds a patch network too",
            received="a folder of that name" if out.is_dir() else "a patch network",
        )
    import_keras()
    from mammo_core.models.keras2.model import import_keras2

    model, report = import_keras2(file)
    way = None if contract is None else _fitted(contract, model, file.name)
    names = _classes(model, classes)
    content = {
        "imported": report.as_json(),
        "preprocessing": None if way is None else way.model_dump(mode="json"),
        "label_map": {name: index for index, name in enumerate(names)},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".keras":
        return Imported(_write(model, out, content), None, content)
    if way is None:
        raise ModelError(
            f"The input contract of {file.name} is not known",
            expected=f"a published file's name ({', '.join(PUBLISHED)}) or --preprocessing",
            received=file.name,
            hint=_ALONE,
        )
    _package(model, out, way, content, patch)
    _same(model, out / MODEL)
    return Imported(out / MODEL, out, content)


def package_of(network: Path) -> Path:
    """Make a package of an imported `.keras` file, for this process only.

    Args:
        network: What `import_model` wrote, its contract beside it.

    Returns:
        A folder that is removed when the process ends.

    Raises:
        ModelError: The contract is missing, unknown or of another file.
    """
    beside = network.with_suffix(".json")
    try:
        content = json.loads(beside.read_bytes())
        known = content["sha256"] == digest(network) and content["preprocessing"] is not None
        way = Preprocessing.model_validate(content["preprocessing"]) if known else None
        found = (content["imported"], content["label_map"])
    except (OSError, ValueError, KeyError, TypeError):
        way, found = None, ({}, {})
    if way is None:
        raise ModelError(
            f"{network.name} is no model package",
            expected=f"{beside.name} beside it, with the network's digest and input contract",
            received=f"no such {beside.name}",
            hint="Import it with --preprocessing",
        )
    import_keras()
    from mammo_core.models.storage import load_model

    folder = Path(tempfile.mkdtemp(prefix="mammo-model-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    content = {"imported": found[0], "label_map": found[1]}
    _package(load_model(network), folder / network.stem, way, content, None)
    return folder / network.stem


def _write(model: Any, out: Path, content: Mapping[str, Any]) -> Path:
    """Write aside, read back, and move the network last: who sees it finds its contract."""
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    beside = out.with_suffix(".json")
    try:
        aside = folder / out.name
        write_model(model, aside)
        _same(model, aside)
        whole = {**content, "sha256": digest(aside)}
        text = json.dumps(whole, indent=2, sort_keys=True, allow_nan=False)
        (folder / beside.name).write_text(text + "\n", encoding="utf-8", newline="\n")
        (folder / beside.name).replace(beside)
        aside.replace(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return out


def _package(
    model: Any,
    out: Path,
    way: Preprocessing,
    content: Mapping[str, Any],
    patch: PatchNetwork | None,
) -> None:
    found, labels = content["imported"], content["label_map"]
    if POSITIVE not in labels or len(model.inputs) != 1:
        raise ModelError(
            f"{found['file']} is no whole-image classifier that a package can hold",
            expected=f"one image in, classes with {POSITIVE!r} out",
            received=f"{len(model.inputs)} inputs, classes {', '.join(labels)}",
            hint=_ALONE,
        )
    lineage = {
        "imported_from": found["file"],
        "imported_file_id": found["sha256"],
        "keras_version": found["keras_version"],
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
        name=Path(found["file"]).stem,
        image_model=model,
        preprocessing=way,
        label_map=labels,
        lineage=lineage,
        **patches,
    )


def _same(model: Any, path: Path) -> None:
    """Compare a written network with the one in memory, weight by weight."""
    from mammo_core.models.storage import load_model

    theirs = load_model(path).get_weights()
    ours = model.get_weights()
    if len(ours) != len(theirs) or not all(map(np.array_equal, ours, theirs)):
        raise ModelError(
            f"{path.name} does not hold the network it was written from",
            expected=f"{len(ours)} equal weights",
            received=f"{len(theirs)} weights, not equal",
        )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.replace("%5B", "").replace("%5D", "").lower())


def _given(text: str) -> dict[str, Any]:
    if text in MEANS:
        return {"mean": MEANS[text]}
    try:
        content = json.loads(text if text.lstrip().startswith("{") else Path(text).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
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
    # The file that an import or a package writes holds it under this name.
    inner = content.get("preprocessing", content)
    return inner if isinstance(inner, dict) else {}


def _fitted(contract: Mapping[str, Any], model: Any, what: str) -> Preprocessing:
    """Complete a contract by the network's input, and compare them."""
    height, width, channels = (*model.inputs[0].shape[1:], None, None, None)[:3]
    size = {"height": height or _GEOMETRY[0], "width": width or _GEOMETRY[1]}
    given = {"channels": channels, **contract}
    given["geometry"] = {**size, **dict(given.get("geometry") or {})}
    try:
        way = Preprocessing.model_validate(given)
    except ValidationError as error:
        fault = error.errors()[0]
        raise RecipeError(
            f"The preprocessing for {what} cannot be used",
            expected="the fields of Preprocessing: mean, geometry, channels, rescale_factor, …",
            received=f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}",
        ) from error
    if not _takes(way.geometry, height, width) or way.channels != channels:
        raise ModelError(
            f"The preprocessing does not fit {what}",
            expected=f"{height or 'any'}x{width or 'any'} pixels, {channels} channel(s)",
            received=f"{way.geometry.height}x{way.geometry.width}, {way.channels}",
        )
    return way


def _takes(geometry: Geometry, height: int | None, width: int | None) -> bool:
    narrow = geometry.resize == "height" and width is not None
    return height in (None, geometry.height) and width in (None, geometry.width) and not narrow


def _classes(model: Any, given: Sequence[str]) -> tuple[str, ...]:
    count = int(model.outputs[0].shape[-1] or 0)
    if not given:
        return CLASSES if count == len(CLASSES) else tuple(f"class_{k}" for k in range(count))
    if len(given) != count or len(set(given)) != count:
        raise RecipeError(
            "The classes do not fit the network",
            expected=f"{count} different names",
            received=", ".join(given),
        )
    return tuple(given)
