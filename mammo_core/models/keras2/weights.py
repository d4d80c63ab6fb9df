"""Which stored values belong to which layer of a Keras 2.0.8 model."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.errors import ModelError
from mammo_core.models.keras2.architecture import Entry
from mammo_core.models.keras2.hdf5 import StoredLayer, StoredModel

Values = npt.NDArray[np.float32]
Stored = Mapping[tuple[str, str], Values]
"""Values by path of the layer (`model_1/conv2d_1`) and kind of weight (`kernel`)."""

_NAME = re.compile(r"(?:.*/)?([^/]+)/([a-z_]+?)(?:_\d+)?:0")


@dataclass(frozen=True)
class _Wanted:
    """A weight that the architecture asks for."""

    path: str
    layer: str
    kind: str

    def fits(self, weight: str) -> bool:
        """Whether a name in the file is this weight's: a second use adds `_1` to the layer."""
        found = _NAME.fullmatch(weight)
        if found is None or found[2] != self.kind:
            return False
        return re.fullmatch(rf"{re.escape(self.layer)}(_\d+)*", found[1]) is not None

    def is_named(self, weight: str) -> bool:
        """Whether a name in the file is exactly this weight's."""
        found = _NAME.fullmatch(weight)
        return found is not None and (found[1], found[2]) == (self.layer, self.kind)


def assign(
    model: StoredModel, entries: Sequence[Entry], what: str
) -> dict[tuple[str, str], Values]:
    """Give every weight of the architecture its stored values, by name.

    The file keeps one group per layer of the outermost model. A nested model's group lists
    all that is trainable first, then the rest, layer by layer (Keras 2.0.8).

    Args:
        model: What the file holds.
        entries: Layers of the outermost model.
        what: The file in errors.

    Raises:
        ModelError: A weight is missing or surplus, or its name is of another layer.
    """
    groups = {group.name: group for group in model.layers}
    names = [entry.name for entry in entries]
    missing = [name for name in names if name not in groups]
    surplus = [*(name for name in groups if name not in names), *model.surplus]
    if missing or surplus or len(groups) != len(model.layers):
        raise ModelError(
            f"The weights in {what} are not those of its layers",
            expected=f"one group per layer: {', '.join(names[:6])}, …",
            received=_told(missing, "no group {}") or _told(surplus, "a surplus group {}"),
        )
    found: dict[tuple[str, str], Values] = {}
    for entry in entries:
        found.update(_group(groups[entry.name], entry, what))
    return found


def _group(group: StoredLayer, entry: Entry, what: str) -> Iterator[tuple[tuple[str, str], Values]]:
    wanted = _order(entry)
    given = list(group.weights)
    if len(given) != len(wanted) or group.surplus:
        lacking = [f"{w.path}/{w.kind}" for w in wanted if not any(map(w.fits, given))]
        extra = [name for name in given if not any(w.fits(name) for w in wanted)]
        told = _told(lacking, "no {}") or _told([*extra, *group.surplus], "a surplus {}")
        raise ModelError(
            f"The weights of layer {entry.name} in {what} are not those of its architecture",
            expected=f"{len(wanted)} weights",
            received=f"{len(given)}" + (f" ({told})" if told else ""),
        )
    chosen = _match(wanted, given)
    if chosen is None:
        wrong = next((w, name) for w, name in zip(wanted, given, strict=True) if not w.fits(name))
        raise ModelError(
            f"A weight of layer {entry.name} in {what} has another layer's name",
            expected=f"{wrong[0].layer}/{wrong[0].kind}:0 (in the order of Keras 2.0.8)",
            received=wrong[1][:200],
        )
    for each, name in zip(wanted, chosen, strict=True):
        yield (each.path, each.kind), group.weights[name]


def _match(wanted: Sequence[_Wanted], given: Sequence[str]) -> list[str] | None:
    """Return the stored name of each weight, or None where names and layers do not fit."""
    if all(w.fits(name) for w, name in zip(wanted, given, strict=True)):
        return list(given)
    # Another order: a whole nested model was frozen, or every layer of it by itself.
    for test in (_Wanted.is_named, _Wanted.fits):
        chosen = [[name for name in given if test(w, name)] for w in wanted]
        if all(len(names) == 1 for names in chosen):
            flat = [names[0] for names in chosen]
            if len(set(flat)) == len(flat):
                return flat
    return None


def _order(entry: Entry) -> list[_Wanted]:
    trainable, fixed = _parts(entry)
    return trainable + fixed


def _parts(entry: Entry) -> tuple[list[_Wanted], list[_Wanted]]:
    """Return what Keras 2.0.8 lists first (trainable) and last."""
    trainable: list[_Wanted] = []
    fixed: list[_Wanted] = []
    for layer in entry.layers:
        below = _parts(layer)
        trainable += below[0]
        fixed += below[1]
    if entry.kind is not None:
        for slot in entry.kind.weights:
            if slot.only_if and not entry.settings[slot.only_if]:
                continue
            place = trainable if slot.trainable else fixed
            place.append(_Wanted(entry.path, entry.name, slot.kind))
    if not entry.trainable:
        return [], trainable + fixed
    return trainable, fixed


def _told(names: Sequence[str], text: str) -> str:
    return ", ".join(text.format(name) for name in names[:4]) + (", …" if len(names) > 4 else "")


def check_bounds(stored: Stored, what: str) -> None:
    """Refuse statistics that no training gives: a damaged file.

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
    """Return an initialiser that hands out stored values, and refuses another shape.

    A layer asks it for its weight, so a shape is compared before anything is allocated.
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
