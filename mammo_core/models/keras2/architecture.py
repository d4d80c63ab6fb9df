"""The architecture in a Keras 2.0.8 file: JSON in, checked entries out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mammo_core.errors import ModelError
from mammo_core.models.keras2.layers import Kind, kind_of
from mammo_core.models.keras2.model import settings as check
from mammo_core.models.keras2.settings import UnfitError

_DEEP = 16
_LAYERS = 20_000


@dataclass(frozen=True)
class Reference:
    """One tensor: what a call of a layer gave.

    Attributes:
        layer: Name of the layer, in the same model.
        call: Which call of it; a nested model counts from 1, as its own making was call 0.
        output: Which of its outputs.
    """

    layer: str
    call: int
    output: int


@dataclass(frozen=True)
class Entry:
    """A layer, an input or a nested model.

    Attributes:
        name: In its model.
        path: With the models around it: `model_1/conv2d_1`.
        kind: Class of the layer; None for inputs and models.
        settings: Checked; `shape` for an input.
        trainable: As the file has it.
        calls: Inputs of each call of it.
        layers: Of a model, in the file's order.
        inputs: Of a model.
        outputs: Of a model.
    """

    name: str
    path: str
    kind: Kind | None
    settings: Mapping[str, Any]
    trainable: bool
    calls: tuple[tuple[Reference, ...], ...]
    layers: tuple["Entry", ...] = ()
    inputs: tuple[Reference, ...] = ()
    outputs: tuple[Reference, ...] = ()

    @property
    def is_model(self) -> bool:
        """Whether it is a model."""
        return bool(self.layers)

    @property
    def first_call(self) -> int:
        """Number of its first call."""
        return 1 if self.is_model else 0


def parse(text: str, groups: Sequence[str], what: str) -> Entry:
    """Read and check an architecture.

    Args:
        text: `model_config` of the file.
        groups: Names of the file's groups of weights; they name the layers of an outermost
            Sequential, whose config does not.
        what: The file in errors.

    Raises:
        ModelError: It is no JSON, or holds a layer or setting that is not read.
    """
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"The architecture in {what} is damaged",
            expected="JSON of a Keras 2.0.8 model",
            received=str(error)[:200] or type(error).__name__,
        ) from error
    try:
        kind, inner = _field(config, "class_name", str), config.get("config")
        if kind not in ("Model", "Sequential"):
            raise UnfitError(f"a Model or Sequential of Keras 2.0.8, not {kind[:80]}")
        entry = _model(kind, inner, "", 0, (), groups)
    except UnfitError as error:
        raise ModelError(
            f"The architecture in {what} is damaged", expected=str(error), received="another thing"
        ) from error
    if (count := _count(entry)) > _LAYERS:
        raise ModelError(
            f"The architecture in {what} is too large",
            expected=f"at most {_LAYERS} layers",
            received=str(count),
        )
    return entry


def _model(
    kind: str,
    config: Any,
    around: str,
    depth: int,
    calls: tuple[tuple[Reference, ...], ...],
    names: Sequence[str] = (),
    name: str = "",
) -> Entry:
    if depth > _DEEP:
        raise UnfitError(f"models nested at most {_DEEP} deep")
    if kind == "Sequential":
        name = name or "sequential"
        path = f"{around}{name}" if depth else ""
        layers = _chain(config, f"{path}/" if path else "", depth, names)
        inputs = [Reference(layers[0].name, 0, 0)]
        outputs = [Reference(layers[-1].name, layers[-1].first_call, 0)]
    else:
        name = check.name(_field(config, "name", str))
        path = f"{around}{name}" if depth else ""
        below = f"{path}/" if path else ""
        layers = [_layer(each, below, depth) for each in _field(config, "layers", list)]
        inputs = [_reference(each) for each in _field(config, "input_layers", list)]
        outputs = [_reference(each) for each in _field(config, "output_layers", list)]
    seen: set[str] = set()
    for layer in layers:
        if layer.name in seen:
            raise UnfitError(
                f"layers of different names in {path or name}; {layer.name} is there twice"
            )
        seen.add(layer.name)
    if not layers or not inputs or not outputs:
        raise UnfitError(f"layers, inputs and outputs in {path or name}")
    trainable = not isinstance(config, dict) or config.get("trainable") is not False
    return Entry(
        name, path, None, {}, trainable, calls, tuple(layers), tuple(inputs), tuple(outputs)
    )


def _layer(given: Any, around: str, depth: int) -> Entry:
    kind, name = _field(given, "class_name", str), check.name(_field(given, "name", str))
    config = given.get("config")
    path = f"{around}{name}"
    calls = tuple(
        tuple(_reference(each, code=True) for each in node)
        for node in map(_list, _field(given, "inbound_nodes", list))
    )
    if kind in ("Model", "Sequential"):
        entry = _model(kind, config, around, depth + 1, calls, name=name)
    elif kind == "InputLayer":
        entry = _input(config, path, name)
    else:
        entry = _plain(kind, config, path, name, calls)
    if entry.name != name:
        raise UnfitError(f"one name of layer {path}; its config says {entry.name}")
    return entry


def _plain(
    kind: str, config: Any, path: str, name: str, calls: tuple[tuple[Reference, ...], ...]
) -> Entry:
    if not isinstance(config, dict):
        raise UnfitError(f"a config of layer {path}")
    found, settings = kind_of(kind, config, path)
    if settings.get("name") != name:
        raise UnfitError(f"one name of layer {path}; its config says {settings.get('name')}")
    if not found.several and any(len(call) != 1 for call in calls):
        raise UnfitError(f"one input to each call of {path}")
    return Entry(name, path, found, settings, settings.pop("trainable", True) is True, calls)


def _input(config: Any, path: str, name: str) -> Entry:
    known = {"name", "dtype", "sparse", "batch_input_shape", "trainable"}
    if not isinstance(config, dict) or config.keys() - known or config.get("name") != name:
        raise UnfitError(f"an input {path} with {', '.join(sorted(known))}")
    shape = check.batch_shape(config.get("batch_input_shape"))
    check.float32(config.get("dtype"))
    check.dense(config.get("sparse"))
    return Entry(name, path, None, {"shape": shape}, True, ())


def _chain(config: Any, around: str, depth: int, names: Sequence[str]) -> list[Entry]:
    """Read a Sequential: a list of layers, each after the one before."""
    given = config.get("layers") if isinstance(config, dict) else config
    if not isinstance(given, list) or not given:
        raise UnfitError("a list of the layers of a Sequential")
    entries: list[Entry] = []
    for number, each in enumerate(given):
        kind = _field(each, "class_name", str)
        inner = each.get("config")
        # Only a Sequential in a Sequential has no name of its own; its group has.
        told = inner.get("name") if isinstance(inner, dict) else None
        if told is None:
            told = names[number] if len(names) == len(given) else f"sequential_{number + 1}"
        name = check.name(told)
        if not entries and kind != "InputLayer":
            shape = _first_shape(kind, inner, around)
            entries.append(
                Entry(f"{name}_input", f"{around}{name}_input", None, {"shape": shape}, True, ())
            )
        before = ((Reference(entries[-1].name, entries[-1].first_call, 0),),) if entries else ()
        if kind == "InputLayer":
            entries.append(_input(inner, f"{around}{name}", name))
        elif kind in ("Model", "Sequential"):
            entries.append(_model(kind, inner, around, depth + 1, before, name=name))
        else:
            entries.append(_plain(kind, inner, f"{around}{name}", name, before))
    return entries


def _first_shape(kind: str, config: Any, around: str) -> tuple[int | None, ...]:
    if kind in ("Model", "Sequential"):
        inner = _model(kind, config, around, 1, ())
        first = next(each for each in inner.layers if each.name == inner.inputs[0].layer)
        return tuple(first.settings.get("shape", ()))
    if not isinstance(config, dict):
        raise UnfitError("a config of the first layer")
    return check.batch_shape(config.get("batch_input_shape"))


def _reference(given: Any, code: bool = False) -> Reference:
    parts = _list(given)
    # The fourth part holds arguments of the call, which could be anything.
    if len(parts) not in ((3, 4) if code else (3,)) or (len(parts) == 4 and parts[3] != {}):
        raise UnfitError("a layer, its call and its output, without arguments")
    if not all(type(each) is int and 0 <= each <= _LAYERS for each in parts[1:3]):
        raise UnfitError("a layer, its call and its output")
    return Reference(check.name(parts[0]), parts[1], parts[2])


def _field(given: Any, name: str, kind: type) -> Any:
    if not isinstance(given, dict) or not isinstance(given.get(name), kind):
        raise UnfitError(f"an object with {name}")
    return given[name]


def _list(given: Any) -> list[Any]:
    if not isinstance(given, list):
        raise UnfitError("a list")
    return given


def _count(entry: Entry) -> int:
    return 1 + sum(map(_count, entry.layers))
