"""The architecture in a Keras 2.0.8 file: JSON in, validated entries out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mammo_core.documents import parse_json
from mammo_core.errors import ModelError
from mammo_core.models.keras2 import settings as validators
from mammo_core.models.keras2.layers import LayerClass, validate_layer
from mammo_core.models.keras2.settings import SettingError

_MAX_DEPTH = 16
#: The largest network of Keras has about 1,000 layers; each is called once or twice.
_MAX_LAYERS = 5_000
_MAX_VALUES = 1_000_000


@dataclass(frozen=True)
class TensorReference:
    """A tensor: one output of one call of a layer.

    Attributes:
        layer: Name of the layer, in the same model.
        call: Number of the call; the calls of a nested model are numbered from 1, because its
            creation was call 0.
        output: Number of the output.
    """

    layer: str
    call: int
    output: int


@dataclass(frozen=True)
class LayerEntry:
    """A layer, an input or a nested model.

    Attributes:
        name: Name within its model.
        path: Name with those of the enclosing models: `model_1/conv2d_1`.
        kind: Class of the layer; None for inputs and models.
        settings: Validated settings; `shape` for an input.
        trainable: As in the file.
        calls: Inputs of each call.
        layers: Layers of a model, in the order of the file.
        inputs: Inputs of a model.
        outputs: Outputs of a model.
    """

    name: str
    path: str
    kind: LayerClass | None
    settings: Mapping[str, Any]
    trainable: bool
    calls: tuple[tuple[TensorReference, ...], ...]
    layers: tuple["LayerEntry", ...] = ()
    inputs: tuple[TensorReference, ...] = ()
    outputs: tuple[TensorReference, ...] = ()

    @property
    def is_model(self) -> bool:
        """Whether it is a model."""
        return bool(self.layers)

    @property
    def first_call(self) -> int:
        """Number of its first call."""
        return 1 if self.is_model else 0


def parse(text: str, groups: Sequence[str], what: str) -> LayerEntry:
    """Parse and validate an architecture.

    Args:
        text: `model_config` of the file.
        groups: Names of the file's groups of weights; they name the layers of an outermost
            Sequential, whose config does not contain names.
        what: The file, for errors.

    Raises:
        ModelError: It is not JSON, or contains an unsupported layer or setting.
    """
    try:
        config = parse_json(text, max_bytes=2**24, max_values=_MAX_VALUES)
    except ValueError as error:
        raise ModelError(
            f"The architecture in {what} is damaged",
            expected="JSON of a Keras 2.0.8 model",
            received=str(error)[:200] or type(error).__name__,
        ) from error
    try:
        kind, inner = _field(config, "class_name", str), config.get("config")
        if kind not in ("Model", "Sequential"):
            raise SettingError(f"a Model or Sequential of Keras 2.0.8, not {kind[:80]}")
        entry = _model(kind, inner, "", 0, (), groups)
    except SettingError as error:
        raise ModelError(
            f"The architecture in {what} is damaged", expected=str(error), received="something else"
        ) from error
    if (count := _count(entry)) > _MAX_LAYERS:
        raise ModelError(
            f"The architecture in {what} is too large",
            expected=f"at most {_MAX_LAYERS} layers",
            received=str(count),
        )
    return entry


def _model(
    kind: str,
    config: Any,
    around: str,
    depth: int,
    calls: tuple[tuple[TensorReference, ...], ...],
    names: Sequence[str] = (),
    name: str = "",
) -> LayerEntry:
    if depth > _MAX_DEPTH:
        raise SettingError(f"models nested at most {_MAX_DEPTH} deep")
    if kind == "Sequential":
        name = name or "sequential"
        path = f"{around}{name}" if depth else ""
        layers = _chain(config, f"{path}/" if path else "", depth, names)
        inputs = [TensorReference(layers[0].name, 0, 0)]
        outputs = [TensorReference(layers[-1].name, layers[-1].first_call, 0)]
    else:
        name = validators.require_name(_field(config, "name", str))
        path = f"{around}{name}" if depth else ""
        below = f"{path}/" if path else ""
        layers = [_layer(each, below, depth) for each in _field(config, "layers", list)]
        inputs = [_reference(each) for each in _field(config, "input_layers", list)]
        outputs = [_reference(each) for each in _field(config, "output_layers", list)]
    names_so_far: set[str] = set()
    for layer in layers:
        if layer.name in names_so_far:
            raise SettingError(
                f"layers of different names in {path or name}; {layer.name} occurs twice"
            )
        names_so_far.add(layer.name)
    if not layers or not inputs or not outputs:
        raise SettingError(f"layers, inputs and outputs in {path or name}")
    trainable = not isinstance(config, dict) or config.get("trainable") is not False
    return LayerEntry(
        name, path, None, {}, trainable, calls, tuple(layers), tuple(inputs), tuple(outputs)
    )


def _layer(entry: Any, around: str, depth: int) -> LayerEntry:
    kind = _field(entry, "class_name", str)
    name = validators.require_name(_field(entry, "name", str))
    config = entry.get("config")
    path = f"{around}{name}"
    calls = tuple(
        tuple(_reference(each, with_arguments=True) for each in node)
        for node in map(_list, _field(entry, "inbound_nodes", list))
    )
    if kind in ("Model", "Sequential"):
        layer = _model(kind, config, around, depth + 1, calls, name=name)
    elif kind == "InputLayer":
        layer = _input(config, path, name)
    else:
        layer = _plain(kind, config, path, name, calls)
    if layer.name != name:
        raise SettingError(f"one name of layer {path}; its config contains {layer.name}")
    return layer


def _plain(
    kind: str, config: Any, path: str, name: str, calls: tuple[tuple[TensorReference, ...], ...]
) -> LayerEntry:
    if not isinstance(config, dict):
        raise SettingError(f"a config of layer {path}")
    layer_class, settings = validate_layer(kind, config, path)
    if settings.get("name") != name:
        raise SettingError(f"one name of layer {path}; its config contains {settings.get('name')}")
    if not layer_class.multiple_inputs and any(len(call) != 1 for call in calls):
        raise SettingError(f"one input to each call of {path}")
    return LayerEntry(
        name, path, layer_class, settings, settings.pop("trainable", True) is True, calls
    )


def _input(config: Any, path: str, name: str) -> LayerEntry:
    accepted = {"name", "dtype", "sparse", "batch_input_shape", "trainable"}
    if not isinstance(config, dict) or config.keys() - accepted or config.get("name") != name:
        raise SettingError(f"an input {path} with {', '.join(sorted(accepted))}")
    shape = validators.require_batch_shape(config.get("batch_input_shape"))
    validators.require_float32(config.get("dtype"))
    validators.require_dense(config.get("sparse"))
    return LayerEntry(name, path, None, {"shape": shape}, True, ())


def _chain(config: Any, around: str, depth: int, names: Sequence[str]) -> list[LayerEntry]:
    """Parse a Sequential: a list of layers, each applied to the output of the previous one."""
    items = config.get("layers") if isinstance(config, dict) else config
    if not isinstance(items, list) or not items:
        raise SettingError("a list of the layers of a Sequential")
    entries: list[LayerEntry] = []
    for number, each in enumerate(items):
        kind = _field(each, "class_name", str)
        inner = each.get("config")
        # Only a Sequential in a Sequential has no name in its config; its group has one.
        name = inner.get("name") if isinstance(inner, dict) else None
        if name is None:
            name = names[number] if len(names) == len(items) else f"sequential_{number + 1}"
        name = validators.require_name(name)
        if not entries and kind != "InputLayer":
            shape = _first_shape(kind, inner, around)
            entries.append(
                LayerEntry(
                    f"{name}_input", f"{around}{name}_input", None, {"shape": shape}, True, ()
                )
            )
        before = (
            ((TensorReference(entries[-1].name, entries[-1].first_call, 0),),) if entries else ()
        )
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
        raise SettingError("a config of the first layer")
    return validators.require_batch_shape(config.get("batch_input_shape"))


def _reference(value: Any, with_arguments: bool = False) -> TensorReference:
    parts = _list(value)
    # The fourth part contains arguments of the call, which could be anything.
    if len(parts) not in ((3, 4) if with_arguments else (3,)) or (
        len(parts) == 4 and parts[3] != {}
    ):
        raise SettingError("a layer, its call and its output, without arguments")
    if not all(type(each) is int and 0 <= each <= _MAX_LAYERS for each in parts[1:3]):
        raise SettingError("a layer, its call and its output")
    return TensorReference(validators.require_name(parts[0]), parts[1], parts[2])


def _field(value: Any, name: str, kind: type) -> Any:
    if not isinstance(value, dict) or not isinstance(value.get(name), kind):
        raise SettingError(f"an object with {name}")
    return value[name]


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise SettingError("a list")
    return value


def _count(entry: LayerEntry) -> int:
    return 1 + sum(map(_count, entry.layers))
