"""The registry of patch networks: what each is called, how it is built, what input it takes.

A network is one module in `networks/` that calls `register_network` when it is imported. Code
outside this library registers its own in the same way: by an import before the recipe is read, or
for every process by an entry point in the group `mammo.networks`. Nothing here imports Keras, so
recipes can be read without it: a builder imports Keras when it is called.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from mammo_core.discovery import import_entry_points, import_modules
from mammo_core.errors import ModelError

_PACKAGE: Final = "mammo_core.models.networks"
_ENTRY_POINTS: Final = "mammo.networks"
#: Name of a layer of an ensemble (`ensemble.average`) that is a member.
_MEMBER: Final = re.compile(r"member\d+_(?!share$)(.+)")


@dataclass(frozen=True)
class Window:
    """A convolution or pool between the pixels and the features.

    Attributes:
        size: Side of the kernel, in cells of its input.
        stride: Cells of its input from one output to the next.
        padding: `(before, after)`, or `"same"`: as TensorFlow pads, so that there are as many
            outputs as strides in the input, rounded up.
    """

    size: int
    stride: int
    padding: tuple[int, int] | Literal["same"] = (0, 0)

    def pads(self, side: int) -> tuple[int, int]:
        """Return the padding before and after an input of this many cells."""
        if self.padding != "same":
            return self.padding
        total = max((-(-side // self.stride) - 1) * self.stride + self.size - side, 0)
        return total // 2, total - total // 2

    def outputs(self, side: int) -> int:
        """Return the number of outputs for an input of this many cells; 0 if it is too small."""
        return max((side + sum(self.pads(side)) - self.size) // self.stride + 1, 0)


@dataclass(frozen=True)
class Application:
    """A network of `keras.applications`, and how its layers are named here.

    Attributes:
        builder: Name of the function in `keras.applications`.
        options: Further arguments of the builder.
        rename: Returns our name for a layer; the same name by default.
        blocks_of: Returns the block of each layer of the Keras model, in graph order, for a
            network whose layer names do not show where a block begins; called with the
            `Network` and the Keras model. None: a block begins at its first named layer.
        adapt: Returns the configuration of a layer here, from its class (`BatchNormalization`) and
            the configuration that Keras gave it; None: the same.
    """

    builder: str
    options: Mapping[str, Any] = field(default_factory=dict)
    rename: Callable[[str], str] = str
    blocks_of: "Callable[[Network, Any], list[str]] | None" = None
    adapt: Callable[[str, Mapping[str, Any]], Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class Network:
    """A patch network: how it is built and the input it takes.

    The input is a gray image in `channels` equal channels, where white is `scale` and the mean
    pixel of the training images has been subtracted (`Preprocessing` does both).

    Attributes:
        name: Name in the registry and of the Keras model.
        channels: Channels of the input.
        path: Windows between the input and the features, except those that keep every cell
            where it is (3x3, stride 1, padded).
        feature: Name of the layer whose output the whole-image network uses.
        members: Block names from low to high, each with a pattern of its layer names.
        top: Blocks that the training stage `top` trains.
        build: Builds the network up to its features from `(network, seed)`; every random weight
            depends on the seed only. None: `application` is copied.
        application: The network of `keras.applications` that this one is; None for others.
        imagenet: The application whose ImageNet weights fit this network, or None.
        imagenet_names: Returns our layer name for a layer of `imagenet`; None: the layers are
            matched by order.
        divisor: A first layer divides the input by this, so that its spread is the one the
            ImageNet weights were trained on; 1 adds no layer.
        pooled: Cells that the patch classifier averages before its global pool; 1 for none.
        pool_name: Name of the global pool.
        keras2: Registry name of this network as Keras 2.0.8 built it; None if the original
            system did not have it.
        torch: Registry name of this network as torchvision and timm build it; None if it is not
            built so.
    """

    name: str
    channels: int
    path: tuple[Window, ...]
    feature: str
    members: tuple[tuple[str, str], ...]
    top: tuple[str, ...]
    build: "Callable[[Network, int], Any] | None" = None
    application: Application | None = None
    imagenet: Application | None = None
    imagenet_names: Callable[[str], str] | None = None
    divisor: float = 1.0
    pooled: int = 1
    pool_name: str = "average_pool"
    keras2: str | None = None
    torch: str | None = None

    scale = 255.0

    @property
    def blocks(self) -> tuple[str, ...]:
        """Block names from low to high."""
        return tuple(name for name, _ in self.members)

    @property
    def stride(self) -> int:
        """Pixels from one feature cell to the next."""
        stride = 1
        for window in self.path:
            stride *= window.stride
        return stride

    @property
    def minimum(self) -> int:
        """Smallest side of a patch, in pixels.

        Below it there is no cell to average, and the original returned NaN.
        """
        return next(side for side in _sides(self.stride) if self.cells(side) >= self.pooled)

    @property
    def first_center(self) -> float:
        """Pixel index of the center of feature cell 0, for sides divisible by the stride."""
        return self.center(64 * self.stride)

    def cells(self, side: int) -> int:
        """Return the number of feature cells along a side of this many pixels."""
        for window in self.path:
            side = window.outputs(side)
        return side

    def center(self, side: int) -> float:
        """Return the pixel index of the center of feature cell 0.

        With explicit padding it is the same for every side; "same" padding depends on the
        remainder.
        """
        stride, center = 1, 0.0
        for window in self.path:
            center += stride * ((window.size - 1) / 2 - window.pads(side)[0])
            stride *= window.stride
            side = window.outputs(side)
        return center

    def smallest(self, cells: int) -> int:
        """Return the smallest side, in pixels, with at least this many feature cells."""
        return next(side for side in _sides(1) if self.cells(side) >= cells)

    def block_of(self, layer: str) -> str | None:
        """Return the block that a layer name belongs to; None for layers of the head."""
        return next((name for name, rule in self.members if re.fullmatch(rule, layer)), None)


# Derived models append these endings to the name of their network.
_NAME = re.compile(r"[a-z][a-z0-9_]*(?<!_whole)(?<!_heatmap)(?<!_two_view)")
_REGISTERED: dict[str, Network] = {}


class _Networks(Mapping[str, Network]):
    """The registered networks by name, discovered on first use."""

    def __getitem__(self, name: str) -> Network:
        _discover()
        return _REGISTERED[name]

    def __iter__(self) -> Iterator[str]:
        _discover()
        return iter(sorted(_REGISTERED))

    def __len__(self) -> int:
        _discover()
        return len(_REGISTERED)


#: Every registered network by name.
NETWORKS: Final = _Networks()


def register_network(network: Network) -> Network:
    """Add a network to the registry, so that recipes and commands can name it.

    Args:
        network: The network. Registering the same one again has no effect.

    Returns:
        The same network.

    Raises:
        ModelError: The name is taken or cannot be used, there is no builder, or a top block is
            unknown.
    """
    taken = _REGISTERED.get(network.name)
    if taken is not None and taken != network:
        raise _registration_error(network, "a name that is not taken", repr(network.name))
    if not _NAME.fullmatch(network.name):
        raise _registration_error(
            network,
            "a name of lower-case letters, digits and _, not ending like a derived model "
            "(_whole, _heatmap, _two_view)",
            repr(network.name),
        )
    if (network.build is None) == (network.application is None):
        received = "neither" if network.build is None else "both"
        raise _registration_error(network, "either build or application", received)
    unknown = sorted(set(network.top) - set(network.blocks))
    if unknown or not network.top:
        raise _registration_error(
            network,
            f"top blocks from {', '.join(network.blocks)}",
            ", ".join(unknown) or "none",
        )
    _REGISTERED[network.name] = network
    return network


def network_names() -> list[str]:
    """Return the names that a recipe may use.

    The forms of another network are not among them: a recipe reaches them by `topology`.
    """
    hidden = {each.keras2 for each in NETWORKS.values() if each.keras2 != each.name}
    hidden |= {each.torch for each in NETWORKS.values() if each.torch != each.name}
    return [name for name in NETWORKS if name not in hidden]


def network_of(model: Any) -> Network:
    """Return the registered network that a model is built on.

    Args:
        model: A patch, heatmap, whole-image or two-view model of this library, named after its
            network (`compact`, `compact_heatmap`, `compact_whole`, `compact_two_view`); or an
            ensemble of such models of one network.

    Raises:
        ModelError: The model is not named after a registered network, or the members of an
            ensemble are built on several.
    """
    model_name = str(model.name)
    network = _network_named(model_name)
    if network is not None:
        return network
    layers = (_MEMBER.fullmatch(str(layer.name)) for layer in getattr(model, "layers", ()))
    members = [match[1] for match in layers if match]
    networks = {name: _network_named(name) for name in members}
    registered = {network.name: network for network in networks.values() if network is not None}
    if None not in networks.values() and len(registered) == 1:
        return registered.popitem()[1]
    if members:
        raise ModelError(
            f"The members of {model_name!r} are not built on one network",
            expected="members of one registered network",
            received=", ".join(sorted(networks)),
            hint="use one of the models that the ensemble was combined from",
        )
    raise ModelError(
        f"Model {model_name!r} is not built on a registered network",
        expected=f"a model named after one of {', '.join(NETWORKS)}",
        received=repr(model_name),
        hint="Import the module that registers the network (register_network) first",
    )


def is_member(layer_name: str) -> bool:
    """Whether a layer with this name in an ensemble is one of its models."""
    return _MEMBER.fullmatch(layer_name) is not None


def _network_named(model_name: str) -> Network | None:
    """Return the network that a model with this name is built on, or None."""
    names = [name for name in NETWORKS if model_name == name or model_name.startswith(f"{name}_")]
    return NETWORKS[max(names, key=len)] if names else None


def named_blocks(*names: str) -> tuple[tuple[str, str], ...]:
    """Return `members` of blocks whose layer names begin with the name of their block."""
    return tuple((name, f"{name}(_.*)?") for name in names)


def numbered(prefix: str, first: int, last: int) -> tuple[str, ...]:
    """Return `prefix` followed by each number from first to last."""
    return tuple(f"{prefix}{number}" for number in range(first, last + 1))


#: A 2x2 pool.
HALVE = Window(2, 2)
#: A 3x3 convolution of stride 2, padded as TensorFlow pads.
SAME = Window(3, 2, "same")


def _discover() -> None:
    """Import every module of `networks/` and of the entry points; each registers its networks."""
    import_modules(_PACKAGE)
    import_entry_points(_ENTRY_POINTS)


def _sides(first: int) -> Iterator[int]:
    while True:
        yield first
        first += 1


def _registration_error(network: Network, expected: str, received: str) -> ModelError:
    return ModelError(
        f"Cannot register the network {network.name!r}", expected=expected, received=received
    )
