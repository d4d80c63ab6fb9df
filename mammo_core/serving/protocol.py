"""Open Inference Protocol v2: requests and responses, as JSON and with binary tensors.

https://github.com/kserve/open-inference-protocol, and the binary tensor extension of Triton, which
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
from mammo_core.serving.faults import RequestError

#: Header with the length of the JSON part if binary tensors follow it.
HEADER_LENGTH: Final = "inference-header-content-length"
OUTPUTS: Final = ("malignant_probability", "calibrated_probability")
#: Names of inputs by unit and datatype: pixels or whole files. For a breast, either view may be
#: omitted; in a batch, zeros or an empty file represent a missing view.
INPUTS: Final[dict[Unit, dict[str, tuple[str, ...]]]] = {
    "image": {"UINT16": ("pixels",), "BYTES": ("image",)},
    "breast": {"UINT16": VIEWS, "BYTES": tuple(f"{view}_image" for view in VIEWS)},
}


class _Tensor(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    parameters: dict[str, Any] = {}


class _Input(_Tensor):
    shape: tuple[int, ...]
    datatype: str
    data: list[Any] | None = None


class _InferBody(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(default="", max_length=256)
    parameters: dict[str, Any] = {}
    inputs: tuple[_Input, ...] = Field(min_length=1, max_length=2)
    outputs: tuple[_Tensor, ...] = ()


@dataclass(frozen=True)
class InferRequest:
    """An inference request.

    Attributes:
        id: Identifier chosen by the client.
        pixels: `(n, H, W) uint16, [0, 65535]`, in the geometry of the model; for breasts
            `(n, 2, H, W)`, zeros for a missing view. None with `files`.
        files: Bytes of DICOM, PNG or TIFF files, one per image; for a breast two, CC and MLO,
            empty for a missing view. Empty with `pixels`.
        outputs: Names of the outputs in order, and whether each is returned as bytes.
    """

    id: str
    pixels: npt.NDArray[np.uint16] | None
    files: tuple[tuple[bytes, ...], ...]
    outputs: tuple[tuple[str, bool], ...]


def parse_infer_request(
    path: Path, header_length: str | None, config: ServeConfig, unit: Unit = "image"
) -> InferRequest:
    """Parse an inference request.

    Args:
        path: The body.
        header_length: Length of the JSON part if binary tensors follow it.
        config: The limits.
        unit: The input of the model.

    Raises:
        RequestError: Not a request of the protocol (400), or too large (413).
    """
    size = path.stat().st_size
    length = _json_length(header_length, size)
    if length > config.max_json:
        raise RequestError(
            413,
            "The JSON of the request is too large",
            expected=f"at most {config.max_json} bytes; arrays may be sent as bytes",
            received=f"{length} bytes",
        )
    with path.open("rb") as file:
        text, binary = file.read(length), file.read()
    try:
        body = _InferBody.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        location = ".".join(map(str, fault["loc"])) or "the body"
        received = f"{location}: {fault['msg']}"
        raise _invalid_request_error("a request of the protocol v2", received) from error
    names, datatype = _input_names(body, unit)
    [shape, *others] = {tensor.shape for tensor in body.inputs}
    count = shape[0] if shape else 0
    if others:
        raise _invalid_request_error(
            "one shape for both views", f"shapes {list(shape)} and {list(others[0])}"
        )
    if not 1 <= count * len(body.inputs) <= config.max_images:
        raise _invalid_request_error(
            f"1 to {config.max_images} images in a request", f"shape {list(shape)}"
        )
    by_name = {tensor.name: tensor for tensor in body.inputs}
    parts = dict(zip(by_name, _split_binary(body, binary), strict=True))
    if datatype == "UINT16":
        pixels = {name: _parse_pixels(by_name[name], part) for name, part in parts.items()}
        if unit == "image":
            return InferRequest(body.id, pixels[names[0]], (), _parse_outputs(body))
        blank = np.zeros_like(next(iter(pixels.values())))
        pair = np.stack([pixels.get(name, blank) for name in names], axis=1)
        return InferRequest(body.id, pair, (), _parse_outputs(body))
    contents = {name: _parse_files(by_name[name], part, count) for name, part in parts.items()}
    files = tuple(zip(*(contents.get(name, (b"",) * count) for name in names), strict=True))
    return InferRequest(body.id, None, files, _parse_outputs(body))


def _input_names(body: _InferBody, unit: Unit) -> tuple[tuple[str, ...], str]:
    """Return the possible names of inputs, and the datatype of the inputs sent."""
    sent = [(tensor.name, tensor.datatype) for tensor in body.inputs]
    for datatype, names in INPUTS[unit].items():
        if len(set(sent)) == len(sent) and {*sent} <= {(name, datatype) for name in names}:
            return names, datatype
    raise _invalid_request_error(
        "an input "
        + " or ".join(
            f"{' and '.join(f'`{name}`' for name in names)} of {datatype}"
            for datatype, names in INPUTS[unit].items()
        ),
        ", ".join(f"{name[:40]} of {datatype[:40]}" for name, datatype in sent),
    )


def _split_binary(body: _InferBody, binary: bytes) -> list[bytes]:
    """Split the bytes after the JSON among the inputs, in their order."""
    parts, offset = [], 0
    for tensor in body.inputs:
        declared = tensor.parameters.get("binary_data_size")
        if (declared is None) == (tensor.data is None):
            raise _invalid_request_error("either data or binary_data_size", "both or neither")
        size = 0 if declared is None else declared
        left = len(binary) - offset
        if not isinstance(size, int) or not 0 <= size <= left:
            raise _invalid_request_error(
                f"binary data of {str(declared)[:20]} bytes", f"{left} bytes"
            )
        parts.append(binary[offset : offset + size])
        offset += size
    if offset and offset != len(binary):
        raise _invalid_request_error(f"binary data of {offset} bytes", f"{len(binary)} bytes")
    return parts


def infer_response(
    head: dict[str, Any], request: InferRequest, values: dict[str, npt.NDArray[np.float32]]
) -> tuple[bytes, dict[str, str]]:
    """Return the body of a response and its headers.

    Args:
        head: Name, version and parameters of the model.
        request: The request.
        values: `(n,) float32, [0, 1]` by name of the output.
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
    content = head | ({"id": request.id} if request.id else {}) | {"outputs": outputs}
    text = json.dumps(content).encode()
    if not parts:
        return text, {"content-type": "application/json"}
    headers = {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(text))}
    return text + b"".join(parts), headers


def _json_length(header: str | None, size: int) -> int:
    if header is None:
        return size
    if not header.isdecimal() or int(header) > size:
        raise _invalid_request_error(f"{HEADER_LENGTH} of at most {size}", header[:40])
    return int(header)


def _parse_pixels(tensor: _Input, binary: bytes) -> npt.NDArray[np.uint16]:
    try:
        if tensor.data is None:
            array = np.frombuffer(binary, "<u2")
        else:
            numbers = np.asarray(tensor.data)  # flat, or nested according to the shape
            if numbers.dtype.kind not in "iu" or numbers.min() < 0 or numbers.max() > 65535:
                raise _invalid_request_error("integers from 0 to 65535", "other values")
            array = numbers.astype(np.uint16).ravel()
        return array.astype(np.uint16, copy=False).reshape(tensor.shape)
    except ValueError as error:
        raise _invalid_request_error(
            f"numbers of shape {list(tensor.shape)}", "another number of values"
        ) from error


def _parse_files(tensor: _Input, binary: bytes, count: int) -> tuple[bytes, ...]:
    files: list[bytes] = []
    if tensor.data is not None:
        for text in tensor.data:
            try:
                files.append(base64.b64decode(text, validate=True))
            except (TypeError, ValueError, binascii.Error) as error:
                raise _invalid_request_error("files as base64 text", "something else") from error
    else:
        # Each element is preceded by its length (4 bytes, little endian).
        offset = 0
        while offset + 4 <= len(binary):
            (size,) = struct.unpack_from("<I", binary, offset)
            if offset + 4 + size > len(binary):
                break
            files.append(binary[offset + 4 : offset + 4 + size])
            offset += 4 + size
        if offset != len(binary):
            raise _invalid_request_error(
                "elements that are preceded by their length", "inconsistent lengths"
            )
    if (
        len(files) != count
        or len(tensor.shape) > 2
        or (len(tensor.shape) == 2 and tensor.shape[1] != 1)
    ):
        raise _invalid_request_error(
            f"{count} elements, shape [n] or [n, 1]", f"{len(files)} elements"
        )
    return tuple(files)


def _parse_outputs(body: _InferBody) -> tuple[tuple[str, bool], ...]:
    as_bytes = bool(body.parameters.get("binary_data_output", False))
    if not body.outputs:
        return tuple((name, as_bytes) for name in OUTPUTS)
    unknown = [part.name for part in body.outputs if part.name not in OUTPUTS]
    if unknown:
        raise _invalid_request_error(f"outputs {' and '.join(OUTPUTS)}", f"{unknown[0][:40]}")
    return tuple(
        (part.name, bool(part.parameters.get("binary_data", as_bytes))) for part in body.outputs
    )


def _invalid_request_error(expected: str, received: str) -> RequestError:
    return RequestError(400, "The request is not valid", expected=expected, received=received)
