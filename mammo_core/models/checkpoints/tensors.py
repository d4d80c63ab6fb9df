"""The tensors of a checkpoint: a view of a storage each, checked before memory is taken."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mammo_core.errors import ModelError

_MAXIMUM_DIMENSIONS: Final = 16
_BFLOAT16: Final = "bfloat16"  # NumPy has none: the upper half of a float32
#: Element type of each class of storage. Storages are little-endian.
STORAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "DoubleStorage": "<f8",
        "FloatStorage": "<f4",
        "HalfStorage": "<f2",
        "BFloat16Storage": _BFLOAT16,
        "LongStorage": "<i8",
        "IntStorage": "<i4",
        "ShortStorage": "<i2",
        "CharStorage": "|i1",
        "ByteStorage": "|u1",
        "BoolStorage": "|b1",
    }
)


class CheckpointError(ModelError):
    """A checkpoint cannot be read: it is damaged, or holds what is no plain data."""


def refused(received: str, hint: str | None = None) -> CheckpointError:
    """Return the error of a checkpoint that is refused; the caller adds the name of the file."""
    return CheckpointError(
        "The checkpoint cannot be read",
        expected="tensors, numbers, strings and containers of these",
        received=received,
        hint=hint,
    )


@dataclass(frozen=True)
class Storage:
    """A row of numbers that tensors are views of.

    Attributes:
        key: Its name in the file.
        element: A NumPy type, or `bfloat16`.
        count: Number of elements.
    """

    key: str
    element: str
    count: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.count * (2 if self.element == _BFLOAT16 else np.dtype(self.element).itemsize)


@dataclass(frozen=True)
class Tensor:
    """A view of a storage.

    Attributes:
        storage: The storage.
        offset: First element.
        shape: Elements along each dimension.
        strides: Elements of the storage from one to the next along each dimension.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def checked(cls, storage: Any, offset: Any, shape: Any, strides: Any) -> "Tensor":
        """Return the view, if it lies within its storage and is no larger than it.

        Raises:
            CheckpointError: It is not.
        """
        if not isinstance(storage, Storage):
            raise refused(f"a tensor without a storage, but {type(storage).__name__}")
        for numbers in ((offset,), shape, strides):
            if not isinstance(numbers, tuple) or not all(
                type(number) is int and number >= 0 for number in numbers
            ):
                raise refused("a tensor whose offset, shape or strides are no whole numbers from 0")
        if len(shape) != len(strides) or len(shape) > _MAXIMUM_DIMENSIONS:
            raise refused(f"a tensor of {len(shape)} dimensions with {len(strides)} strides")
        count = 1
        for side in shape:
            count *= side
        last = offset + sum(
            (side - 1) * stride for side, stride in zip(shape, strides, strict=True)
        )
        # A stride of 0 would make much of little: no layer's weights need it.
        if count > storage.count or (count and last >= storage.count):
            raise refused(
                f"a tensor of shape {_short(shape)} and strides {_short(strides)} from element "
                f"{offset} of storage {storage.key!r}, which has {storage.count}"
            )
        return cls(storage, offset, shape, strides)

    def array(self, read: Callable[[Storage], bytes]) -> npt.NDArray[Any]:
        """Return the elements.

        Args:
            read: Returns the bytes of a storage.

        Returns:
            An array of the tensor's shape, in memory of its own; bfloat16 as float32.

        Raises:
            CheckpointError: The storage has another size than the tensor says.
        """
        data = read(self.storage)
        if len(data) != self.storage.size:
            raise refused(
                f"storage {self.storage.key!r} of {len(data)} bytes instead of {self.storage.size}"
            )
        if self.storage.element == _BFLOAT16:
            wide = np.frombuffer(data, "<u2").astype("<u4") << 16
            flat = wide.view("<f4")
        else:
            flat = np.frombuffer(data, self.storage.element)
        view = np.lib.stride_tricks.as_strided(
            flat[self.offset :],
            self.shape,
            [stride * flat.itemsize for stride in self.strides],
            writeable=False,
        )
        return np.array(view)


def _short(numbers: tuple[int, ...]) -> str:
    return "x".join(str(number)[:20] for number in numbers) or "()"
