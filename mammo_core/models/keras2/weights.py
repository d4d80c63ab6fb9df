"""Assigns the stored weights of a Keras 2.0.8 file to the layers of its model."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.errors import ModelError
from mammo_core.models.keras2.architecture import LayerEntry
from mammo_core.models.keras2.hdf5 import StoredLayer, StoredModel

Values = npt.NDArray[np.float32]
Stored = Mapping[tuple[str, str], Values]
"""Values by path of the layer (`model_1/conv2d_1`) and kind of weight (`kernel`)."""

_NAME = re.compile(r"(?:.*/)?([^/]+)/([a-z_]+?)(?:_\d+)?:0")


@dataclass(frozen=True)
class _Slot:
    """A weight of the architecture."""

    path: str
    layer: str
    kind: str

    def fits(self, weight: str) -> bool:
        """Return whether a name in the file fits this weight; a second use adds `_1` to it."""
        match = _NAME.fullmatch(weight)
        if match is None or match[2] != self.kind:
            return False
        return re.fullmatch(rf"{re.escape(self.layer)}(_\d+)*", match[1]) is not None

    def is_named(self, weight: str) -> bool:
        """Return whether a name in the file is exactly the name of this weight."""
        match = _NAME.fullmatch(weight)
        return match is not None and (match[1], match[2]) == (self.layer, self.kind)


def assign(
    model: StoredModel, entries: Sequence[LayerEntry], what: str
) -> dict[tuple[str, str], Values]:
    """Assign stored values to every weight of the architecture, by name.

    The file has one group per layer of the outermost model. The group of a nested model lists
    all trainable weights first, then the others, layer by layer (Keras 2.0.8).

    Args:
        model: The content of the file.
        entries: Layers of the outermost model.
        what: The file, for errors.

    Raises:
        ModelError: A weight is missing or extra, or has the name of another layer.
    """
    groups = {group.name: group for group in model.layers}
    names = [entry.name for entry in entries]
    missing = [name for name in names if name not in groups]
    extra = [*(name for name in groups if name not in names), *model.extra]
    if missing or extra or len(groups) != len(model.layers):
        raise ModelError(
            f"The weights in {what} are not those of its layers",
            expected=f"one group per layer: {', '.join(names[:6])}, …",
            received=_listed(missing, "no group {}") or _listed(extra, "an extra group {}"),
        )
    values: dict[tuple[str, str], Values] = {}
    for entry in entries:
        values.update(_group(groups[entry.name], entry, what))
    return values


def _group(
    group: StoredLayer, entry: LayerEntry, what: str
) -> Iterator[tuple[tuple[str, str], Values]]:
    slots = _order(entry)
    stored = list(group.weights)
    if len(stored) != len(slots) or group.extra:
        missing = [f"{slot.path}/{slot.kind}" for slot in slots if not any(map(slot.fits, stored))]
        extra = [name for name in stored if not any(slot.fits(name) for slot in slots)]
        details = _listed(missing, "no {}") or _listed([*extra, *group.extra], "an extra {}")
        raise ModelError(
            f"The weights of layer {entry.name} in {what} are not those of its architecture",
            expected=f"{len(slots)} weights",
            received=f"{len(stored)}" + (f" ({details})" if details else ""),
        )
    names = _match(slots, stored)
    if names is None:
        pairs = zip(slots, stored, strict=True)
        slot, wrong = next((slot, name) for slot, name in pairs if not slot.fits(name))
        raise ModelError(
            f"A weight of layer {entry.name} in {what} has another layer's name",
            expected=f"{slot.layer}/{slot.kind}:0 (in the order of Keras 2.0.8)",
            received=wrong[:200],
        )
    for slot, name in zip(slots, names, strict=True):
        yield (slot.path, slot.kind), group.weights[name]


def _match(slots: Sequence[_Slot], stored: Sequence[str]) -> list[str] | None:
    """Return the stored name of each weight, or None if names and layers do not fit."""
    if all(slot.fits(name) for slot, name in zip(slots, stored, strict=True)):
        return list(stored)
    # The order differs if a whole nested model was frozen, or each of its layers separately.
    for test in (_Slot.is_named, _Slot.fits):
        candidates = [[name for name in stored if test(slot, name)] for slot in slots]
        if all(len(names) == 1 for names in candidates):
            flat = [names[0] for names in candidates]
            if len(set(flat)) == len(flat):
                return flat
    return None


def _order(entry: LayerEntry) -> list[_Slot]:
    trainable, frozen = _parts(entry)
    return trainable + frozen


def _parts(entry: LayerEntry) -> tuple[list[_Slot], list[_Slot]]:
    """Return the weights that Keras 2.0.8 lists first (trainable) and last (frozen)."""
    trainable: list[_Slot] = []
    frozen: list[_Slot] = []
    for layer in entry.layers:
        below = _parts(layer)
        trainable += below[0]
        frozen += below[1]
    if entry.kind is not None:
        for slot in entry.kind.weights:
            if slot.only_if and not entry.settings[slot.only_if]:
                continue
            group = trainable if slot.trainable else frozen
            group.append(_Slot(entry.path, entry.name, slot.kind))
    if not entry.trainable:
        return [], trainable + frozen
    return trainable, frozen


def _listed(names: Sequence[str], text: str) -> str:
    return ", ".join(text.format(name) for name in names[:4]) + (", …" if len(names) > 4 else "")


def require_valid_statistics(stored: Stored, what: str) -> None:
    """Raise an error for statistics that no training produces: the file is damaged.

    Raises:
        ModelError: A variance is below 0.
    """
    for (path, kind), values in stored.items():
        if kind == "moving_variance" and values.size and float(values.min()) < 0:
            raise ModelError(
                f"The weights in {what} are damaged: {path}/{kind}",
                expected="variances of at least 0",
                received=f"{float(values.min()):g}",
            )


def initializer(values: Any, path: str, kind: str) -> Any:
    """Return an initializer that returns stored values and rejects another shape.

    The layer calls it for its weight, so the shape is compared before memory is allocated.
    """
    import keras

    class StoredValues(keras.initializers.Initializer):  # type: ignore[misc]
        def __call__(self, shape: Any, dtype: Any = None) -> Any:
            if tuple(shape) != values.shape:
                raise ModelError(
                    f"The weight {path}/{kind} has another shape than its layer",
                    expected=f"{tuple(shape)}",
                    received=f"{values.shape}",
                )
            return keras.ops.convert_to_tensor(values, dtype=dtype)

        def get_config(self) -> dict[str, Any]:
            return {}

    return StoredValues()
