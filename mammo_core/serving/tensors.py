"""The values of tensors: lists of JSON, or bytes after it."""

import base64
import binascii
import struct
from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.serving.faults import RequestError


def parse_pixels(
    data: list[Any] | None, shape: tuple[int, ...], binary: bytes
) -> npt.NDArray[np.uint16]:
    """Return the pixels of a UINT16 tensor.

    Args:
        data: Integers, flat or nested according to the shape; None if they are bytes.
        shape: `[n, height, width]`.
        binary: Two bytes each, little endian.

    Returns:
        `(n, h, w) uint16, [0, 65535]`.

    Raises:
        RequestError: Another shape, other values, or another number of them (400).
    """
    if len(shape) != 3:
        raise invalid_request_error("shape [n, height, width]", f"shape {list(shape)}")
    try:
        array = np.frombuffer(binary, "<u2") if data is None else _integers(data, shape)
        return array.astype(np.uint16, copy=False).reshape(shape)
    except ValueError as error:
        raise invalid_request_error(
            f"numbers of shape {list(shape)}", "another number of values"
        ) from error


def _integers(data: list[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    values: Iterable[Any] = data
    if data and isinstance(data[0], list):
        numbers = np.asarray(data)
        if numbers.shape != shape:
            raise ValueError("lists of another shape")
        values = chain.from_iterable(chain.from_iterable(data))
    if set(map(type, values)) - {int}:
        raise invalid_request_error("integers from 0 to 65535", "other values")
    try:
        numbers = np.asarray(data, np.int64)
    except OverflowError:
        numbers = np.full(1, -1)
    if numbers.size and (numbers.min() < 0 or numbers.max() > 65535):
        raise invalid_request_error("integers from 0 to 65535", "other values")
    return numbers.ravel()


def parse_files(data: list[Any] | None, shape: tuple[int, ...], binary: bytes) -> tuple[bytes, ...]:
    """Return the files of a BYTES tensor.

    Args:
        data: Files as base64; None if they are bytes.
        shape: `[n]` or `[n, 1]`.
        binary: The files, each after its length (4 bytes, little endian).

    Raises:
        RequestError: Not base64, another number of files, or inconsistent lengths (400).
    """
    files: list[bytes] = []
    if data is not None:
        for text in data:
            try:
                files.append(base64.b64decode(text, validate=True))
            except (TypeError, ValueError, binascii.Error) as error:
                raise invalid_request_error("files as base64 text", "something else") from error
    else:
        offset = 0
        while offset + 4 <= len(binary):
            (size,) = struct.unpack_from("<I", binary, offset)
            if offset + 4 + size > len(binary):
                break
            files.append(binary[offset + 4 : offset + 4 + size])
            offset += 4 + size
        if offset != len(binary):
            raise invalid_request_error(
                "elements that are preceded by their length", "inconsistent lengths"
            )
    if len(files) != shape[0] or shape[1:] not in ((), (1,)):
        raise invalid_request_error(
            f"{shape[0]} elements, shape [n] or [n, 1]",
            f"{len(files)} elements, shape {list(shape)}",
        )
    return tuple(files)


def invalid_request_error(expected: str, received: str) -> RequestError:
    """Return the error for a request that does not follow the protocol.

    Args:
        expected: What the server accepts.
        received: What the client sent.
    """
    return RequestError(400, "The request is not valid", expected=expected, received=received)
