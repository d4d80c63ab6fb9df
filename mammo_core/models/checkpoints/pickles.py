"""Pickles of PyTorch, interpreted within an allow-list: no code of the file or of others is run.

`pickle` imports and calls whatever a file names. Here its opcodes (`pickletools`) drive a small
machine that knows containers, numbers, strings, storages and tensors; every other opcode and every
other global is refused by its name.
"""

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import IO, Any, Final, cast

from mammo_core.models.checkpoints.tensors import STORAGES, Storage, Tensor, refused
from mammo_core.models.checkpoints.walk import require_no_cycle

#: Bytes of one pickle: the names and shapes of a network of 1,000 tensors take 200 kB.
MAXIMUM_BYTES: Final = 2**26
#: Opcodes of one pickle: a tensor takes about 30.
MAXIMUM_OPCODES: Final = 3_000_000
_SHOWN: Final = 80
_HINT: Final = (
    "Save its tensors alone where it was trained: "
    "torch.save(model.state_dict(), file), or as safetensors"
)
_CONSTANTS: Final = MappingProxyType({"NONE": None, "NEWTRUE": True, "NEWFALSE": False})
_ARGUMENTS: Final = frozenset(
    (
        "BININT",
        "BININT1",
        "BININT2",
        "LONG1",
        "BINFLOAT",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE8",
        "SHORT_BINSTRING",
        "BINSTRING",
    )
)
_TUPLES: Final = MappingProxyType({"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3})
_SKIPPED: Final = frozenset({"PROTO", "FRAME"})


@dataclass(frozen=True)
class _Global:
    """A name that a pickle may use, and what stands for calling it (None: it is not called)."""

    name: str
    call: Callable[..., Any] | None = None


class _Mark:
    """The start of a group of values on the stack."""


_MARK: Final = _Mark()


def _ordered_dict(items: Any = ()) -> dict[Any, Any]:
    if not isinstance(items, (list, tuple)):
        raise refused(f"an OrderedDict of {type(items).__name__}")
    pairs = [tuple(pair) if isinstance(pair, (list, tuple)) else () for pair in items]
    if any(len(pair) != 2 for pair in pairs):
        raise refused("an OrderedDict of something other than pairs")
    return {_key(key): value for key, value in pairs}


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    return Tensor.checked(storage, offset, shape, strides)


def _parameter(tensor: Any, *_: Any) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise refused(f"a parameter that is no tensor, but {type(tensor).__name__}")
    return tensor


def _size(numbers: Any) -> tuple[Any, ...]:
    if not isinstance(numbers, (list, tuple)):
        raise refused(f"a torch.Size of {type(numbers).__name__}")
    return tuple(numbers)


_GLOBALS: Final[Mapping[str, _Global]] = MappingProxyType(
    {
        known.name: known
        for known in (
            _Global("collections.OrderedDict", _ordered_dict),
            _Global("torch._utils._rebuild_tensor", _tensor),
            _Global("torch._utils._rebuild_tensor_v2", _tensor),
            _Global("torch._utils._rebuild_parameter", _parameter),
            _Global("torch.Size", _size),
            *(_Global(f"torch.{name}") for name in STORAGES),
        )
    }
)


def read_pickle(file: IO[bytes]) -> Any:
    """Read one pickle, and leave the file behind its end.

    Args:
        file: Positioned at the start of a pickle.

    Returns:
        Dictionaries, lists, tuples, strings, numbers, None, and `Tensor`.

    Raises:
        CheckpointError: The pickle is damaged, too large, names something that is not allowed, or
            holds itself.
    """
    machine = _Machine()
    bounded = cast("IO[bytes]", _Bounded(file, MAXIMUM_BYTES))
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(bounded)):
            if number >= MAXIMUM_OPCODES:
                raise refused(f"a pickle of more than {MAXIMUM_OPCODES:,} instructions")
            machine.run(opcode.name, argument)
        value = machine.result()
    except (ValueError, IndexError, TypeError, OverflowError, AttributeError) as error:
        # pickletools and the machine on bytes that are no pickle.
        raise refused(f"a damaged pickle: {str(error)[:_SHOWN] or type(error).__name__}") from error
    require_no_cycle(value)
    return value


@dataclass
class _Machine:
    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    stopped: bool = False

    def run(self, name: str, argument: Any) -> None:
        if name in _SKIPPED:
            return
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _ARGUMENTS:
            self.stack.append(argument)
        elif name in _TUPLES:
            count = _TUPLES[name]
            values = [self._pop() for _ in range(count)]
            self.stack.append(tuple(reversed(values)))
        else:
            step = getattr(self, f"_{name.lower()}", None)
            if name not in _STEPS or step is None:
                raise refused(f"the pickle instruction {name}", _HINT)
            step(argument)

    def result(self) -> Any:
        if not self.stopped or len(self.stack) != 1:
            raise ValueError("it does not end with one value")
        return self._pop()

    def _pop(self) -> Any:
        value = self.stack.pop()
        if isinstance(value, _Mark):
            raise ValueError("a group is not closed")
        return value

    def _top(self, kind: type) -> Any:
        value = self.stack[-1]
        if type(value) is not kind:
            raise refused(f"items for {type(value).__name__} instead of {kind.__name__}", _HINT)
        return value

    def _group(self) -> list[Any]:
        """Take the values since the last mark."""
        start = len(self.stack) - 1
        while not isinstance(self.stack[start], _Mark):
            start -= 1
            if start < 0:
                raise ValueError("a group has no start")
        values = self.stack[start + 1 :]
        del self.stack[start:]
        return values

    def _stop(self, _: Any) -> None:
        self.stopped = True

    def _mark(self, _: Any) -> None:
        self.stack.append(_MARK)

    def _empty_dict(self, _: Any) -> None:
        self.stack.append({})

    def _empty_list(self, _: Any) -> None:
        self.stack.append([])

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._group()))

    def _append(self, _: Any) -> None:
        value = self._pop()
        self._top(list).append(value)

    def _appends(self, _: Any) -> None:
        values = self._group()
        self._top(list).extend(values)

    def _setitem(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self._top(dict)[_key(key)] = value

    def _setitems(self, _: Any) -> None:
        values = self._group()
        if len(values) % 2:
            raise ValueError("a key has no value")
        target = self._top(dict)
        for key, value in zip(values[::2], values[1::2], strict=True):
            target[_key(key)] = value

    def _put(self, index: int) -> None:
        if isinstance(self.stack[-1], _Mark):
            raise ValueError("a mark is stored")
        self.memo[index] = self.stack[-1]

    def _get(self, index: int) -> None:
        if index not in self.memo:
            raise ValueError(f"value {index} is used before it is stored")
        self.stack.append(self.memo[index])

    _binput = _long_binput = _put
    _binget = _long_binget = _get

    def _memoize(self, _: Any) -> None:
        self._put(len(self.memo))

    def _global(self, argument: str) -> None:
        self._push_global(*argument.split(" ", 1))

    def _stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        self._push_global(module, name)

    def _push_global(self, module: Any, name: Any) -> None:
        known = _GLOBALS.get(f"{module}.{name}")
        if known is None:
            raise refused(f"the global {str(module)[:_SHOWN]}.{str(name)[:_SHOWN]}", _HINT)
        self.stack.append(known)

    def _reduce(self, _: Any) -> None:
        arguments, called = self._pop(), self._pop()
        if not isinstance(called, _Global) or called.call is None:
            name = called.name if isinstance(called, _Global) else type(called).__name__
            raise refused(f"a call of {name}", _HINT)
        if not isinstance(arguments, tuple):
            raise ValueError(f"{called.name} is called without arguments")
        self.stack.append(called.call(*arguments))

    def _build(self, _: Any) -> None:
        # A state dict is an OrderedDict with an attribute `_metadata`, which is not needed.
        state = self._pop()
        self._top(dict)
        if not isinstance(state, dict) or not set(state) <= {"_metadata"}:
            raise refused("a state of a dictionary other than _metadata", _HINT)

    def _binpersid(self, _: Any) -> None:
        reference = self._pop()
        if not isinstance(reference, tuple) or len(reference) not in (5, 6):
            raise refused("a reference that is no storage", _HINT)
        word, kind, key, _location, count, *view = reference
        element = (
            STORAGES.get(kind.name.removeprefix("torch.")) if isinstance(kind, _Global) else ""
        )
        if word != "storage" or not element or not isinstance(key, str) or view not in ([], [None]):
            raise refused("a reference that is no storage", _HINT)
        if type(count) is not int or count < 0:
            raise refused("a storage without a number of elements")
        self.stack.append(Storage(key, element, count))


_STEPS: Final = frozenset(
    (
        "STOP",
        "MARK",
        "EMPTY_DICT",
        "EMPTY_LIST",
        "TUPLE",
        "APPEND",
        "APPENDS",
        "SETITEM",
        "SETITEMS",
        "BINPUT",
        "LONG_BINPUT",
        "MEMOIZE",
        "BINGET",
        "LONG_BINGET",
        "GLOBAL",
        "STACK_GLOBAL",
        "REDUCE",
        "BUILD",
        "BINPERSID",
    )
)


def _key(value: Any) -> str | int:
    """Return a key, of the kinds that states of networks and optimizers have."""
    if not isinstance(value, (str, int)):
        raise refused(f"a key that is {type(value).__name__}")
    return value


class _Bounded:
    """A file of which only so many bytes may be read."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file, self._left = file, limit

    def read(self, size: int = -1) -> bytes:
        # One byte beyond the limit shows that there are more.
        most = self._left + 1 if size < 0 else min(size, self._left + 1)
        return self._count(self._file.read(most))

    def readline(self, size: int | None = -1) -> bytes:
        return self._count(self._file.readline(self._left + 1))

    def _count(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise refused(f"a pickle of more than {MAXIMUM_BYTES:,} bytes")
        return data
