"""Open Inference Protocol v2: requests and responses, as JSON and with binary tensors.

https://github.com/kserve/open-inference-protocol and Triton's binary tensor extension, which
tritonclient uses by default.
"""

import base64
import binascii
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mammo_core.evaluation.aggregate import Unit
from mammo_core.models.config import VIEWS
from mammo_core.serving.config import ServeConfig
from mammo_core.serving.faults import RefusedError

#: Length of the JSON part where binary tensors follow it.
HEADER_LENGTH: Final = "inference-header-content-length"
OUTPUTS: Final = ("malignant_probability", "calibrated_probability")
#: By what the model sees at once and the datatype: pixels, or whole files. Of a breast either
#: view may be left out; in a batch, zeros or an empty file stand for a missing one.
INPUTS: Final[dict[Unit, dict[str, tuple[str, ...]]]] = {
    "image": {"UINT16": ("pixels",), "BYTES": ("image",)},
    "breast": {"UINT16": VIEWS, "BYTES": tuple(f"{view}_image" for view in VIEWS)},
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    parameters: dict[str, Any] = {}


class _Input(_Part):
    shape: tuple[int, ...]
    datatype: str
    data: list[Any] | None = None


class _Infer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(default="", max_length=256)
    parameters: dict[str, Any] = {}
    inputs: tuple[_Input, ...] = Field(min_length=1, max_length=2)
    outputs: tuple[_Part, ...] = ()


@dataclass(frozen=True)
class InferRequest:
    """What a client asks for.

    Attributes:
        id: The client's name for it.
        pixels: `(n, H, W) uint16, [0, 65535]`, in the model's geometry; of breasts
            `(n, 2, H, W)`, zeros for a missing view. None with `files`.
        files: Bytes of DICOM, PNG or TIFF files, one per image; of a breast two, CC and MLO, empty
            for a missing view. None with `pixels`.
        outputs: Names, in order, and whether each goes as bytes.
    """

    id: str
    pixels: npt.NDArray[np.uint16] | None
    files: tuple[tuple[bytes, ...], ...]
    outputs: tuple[tuple[str, bool], ...]


def parse_infer(
    path: Path, header_length: str | None, config: ServeConfig, unit: Unit = "image"
) -> InferRequest:
    """Read a request.

    Args:
        path: The body.
        header_length: Of the JSON part, where binary tensors follow it.
        config: The limits.
        unit: What the model sees at once.

    Raises:
        RefusedError: It is no request of the protocol (400), or too large (413).
    """
    size = path.stat().st_size
    length = _length(header_length, size)
    if length > config.max_json:
        raise RefusedError(
            413,
            "The JSON of the request is too large",
            expected=f"at most {config.max_json} bytes; arrays may be sent as bytes",
            received=f"{length} bytes",
        )
    with path.open("rb") as file:
        text, rest = file.read(length), file.read()
    try:
        asked = _Infer.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, fault["loc"])) or "the body"
        raise _wrong("a request of the protocol v2", f"{where}: {fault['msg']}") from error
    names, datatype = _known(asked, unit)
    [shape, *other] = {given.shape for given in asked.inputs}
    count = shape[0] if shape else 0
    if other:
        raise _wrong("one shape of both views", f"shapes {list(shape)} and {list(other[0])}")
    if not 1 <= count * len(asked.inputs) <= config.max_images:
        raise _wrong(f"1 to {config.max_images} images in a request", f"shape {list(shape)}")
    parts = dict(zip((given.name for given in asked.inputs), _parts(asked, rest), strict=True))
    by_name = {given.name: given for given in asked.inputs}
    if datatype == "UINT16":
        read = {name: _pixels(by_name[name], part) for name, part in parts.items()}
        if unit == "image":
            return InferRequest(asked.id, read[names[0]], (), _outputs(asked))
        blank = np.zeros_like(next(iter(read.values())))
        pair = np.stack([read.get(name, blank) for name in names], axis=1)
        return InferRequest(asked.id, pair, (), _outputs(asked))
    sent = {name: _files(by_name[name], part, count) for name, part in parts.items()}
    files = tuple(zip(*(sent.get(name, (b"",) * count) for name in names), strict=True))
    return InferRequest(asked.id, None, files, _outputs(asked))


def _known(asked: _Infer, unit: Unit) -> tuple[tuple[str, ...], str]:
    """Return the names that a model's inputs may have, and the datatype of those that came."""
    given = [(one.name, one.datatype) for one in asked.inputs]
    for datatype, names in INPUTS[unit].items():
        if len(set(given)) == len(given) and {*given} <= {(name, datatype) for name in names}:
            return names, datatype
    raise _wrong(
        "an input "
        + " or ".join(
            f"{' and '.join(f'`{name}`' for name in names)} of {datatype}"
            for datatype, names in INPUTS[unit].items()
        ),
        ", ".join(f"{name[:40]} of {datatype[:40]}" for name, datatype in given),
    )


def _parts(asked: _Infer, rest: bytes) -> list[bytes]:
    """Divide what follows the JSON among the inputs, in their order."""
    parts, place = [], 0
    for given in asked.inputs:
        told = given.parameters.get("binary_data_size")
        if (told is None) == (given.data is None):
            raise _wrong("either data or binary_data_size", "both or neither")
        size = 0 if told is None else told
        if not isinstance(size, int) or not 0 <= size <= len(rest) - place:
            raise _wrong(f"binary data of {str(told)[:20]} bytes", f"{len(rest) - place} bytes")
        parts.append(rest[place : place + size])
        place += size
    if place and place != len(rest):
        raise _wrong(f"binary data of {place} bytes", f"{len(rest)} bytes")
    return parts


def response(
    head: dict[str, Any], request: InferRequest, values: dict[str, npt.NDArray[np.float32]]
) -> tuple[bytes, dict[str, str]]:
    """Return the body of a response, and its headers.

    Args:
        head: Model name, version and parameters.
        request: What was asked for.
        values: `(n,) float32` by output name.
    """
    outputs, parts = [], []
    for name, binary in request.outputs:
        array = values[name]
        output: dict[str, Any] = {"name": name, "datatype": "FP32", "shape": [len(array)]}
        if binary:
            parts.append(array.astype("<f4").tobytes())
            output["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            output["data"] = [float(value) for value in array]
        outputs.append(output)
    told = head | ({"id": request.id} if request.id else {}) | {"outputs": outputs}
    text = json.dumps(told).encode()
    if not parts:
        return text, {"content-type": "application/json"}
    headers = {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(text))}
    return text + b"".join(parts), headers


def _length(told: str | None, size: int) -> int:
    if told is None:
        return size
    if not told.isdecimal() or int(told) > size:
        raise _wrong(f"{HEADER_LENGTH} of at most {size}", told[:40])
    return int(told)


def _pixels(given: _Input, rest: bytes) -> npt.NDArray[np.uint16]:
    try:
        if given.data is None:
            array = np.frombuffer(rest, "<u2")
        else:
            numbers = np.asarray(given.data)  # flat, or nested as the shape says
            if numbers.dtype.kind not in "iu" or numbers.min() < 0 or numbers.max() > 65535:
                raise _wrong("whole numbers from 0 to 65535", "others")
            array = numbers.astype(np.uint16).ravel()
        return array.astype(np.uint16, copy=False).reshape(given.shape)
    except ValueError as error:
        raise _wrong(f"numbers of shape {list(given.shape)}", "another count") from error


def _files(given: _Input, rest: bytes, count: int) -> tuple[bytes, ...]:
    files: list[bytes] = []
    if given.data is not None:
        for text in given.data:
            try:
                files.append(base64.b64decode(text, validate=True))
            except (TypeError, ValueError, binascii.Error) as error:
                raise _wrong("files as base64 text", "another thing") from error
    else:
        # Each element is preceded by its length (4 bytes, little-endian).
        place = 0
        while place + 4 <= len(rest):
            (size,) = struct.unpack_from("<I", rest, place)
            if place + 4 + size > len(rest):
                break
            files.append(rest[place + 4 : place + 4 + size])
            place += 4 + size
        if place != len(rest):
            raise _wrong("elements that are preceded by their length", "bytes that do not fit")
    if (
        len(files) != count
        or len(given.shape) > 2
        or (len(given.shape) == 2 and given.shape[1] != 1)
    ):
        raise _wrong(f"{count} elements, shape [n] or [n, 1]", f"{len(files)} elements")
    return tuple(files)


def _outputs(asked: _Infer) -> tuple[tuple[str, bool], ...]:
    binary = bool(asked.parameters.get("binary_data_output", False))
    if not asked.outputs:
        return tuple((name, binary) for name in OUTPUTS)
    unknown = [part.name for part in asked.outputs if part.name not in OUTPUTS]
    if unknown:
        raise _wrong(f"outputs {' and '.join(OUTPUTS)}", f"{unknown[0][:40]}")
    return tuple(
        (part.name, bool(part.parameters.get("binary_data", binary))) for part in asked.outputs
    )


def _wrong(expected: str, received: str) -> RefusedError:
    return RefusedError(400, "The request cannot be read", expected=expected, received=received)
