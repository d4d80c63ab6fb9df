"""Open Inference Protocol v2: requests and responses, as JSON and with binary tensors.

https://github.com/kserve/open-inference-protocol, and the binary tensor extension of Triton, which
tritonclient uses by default.
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mammo_core.documents import DocumentError, require_json_limits
from mammo_core.evaluation.aggregate import Unit
from mammo_core.models.config import VIEWS
from mammo_core.serving.config import ServeConfig
from mammo_core.serving.faults import RequestError
from mammo_core.serving.tensors import invalid_request_error, parse_files, parse_pixels

#: Header with the length of the JSON part if binary tensors follow it.
HEADER_LENGTH: Final = "inference-header-content-length"
OUTPUTS: Final = ("malignant_probability", "calibrated_probability")
#: Names of inputs by unit and datatype: pixels or whole files. For a breast, either view may be
#: omitted; in a batch, zeros or an empty file represent a missing view.
INPUTS: Final[dict[Unit, dict[str, tuple[str, ...]]]] = {
    "image": {"UINT16": ("pixels",), "BYTES": ("image",)},
    "breast": {"UINT16": VIEWS, "BYTES": tuple(f"{view}_image" for view in VIEWS)},
}


class _Parameters(BaseModel):
    """The parameters that this server knows; others are ignored, as the protocol permits."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    binary_data: bool | None = None
    binary_data_output: bool | None = None
    binary_data_size: int | None = Field(default=None, ge=0)


class _Tensor(BaseModel):
    # Strict: neither "1" nor true is a number. A null is as good as an absent field.
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    name: str
    parameters: _Parameters | None = None


class _Input(_Tensor):
    shape: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1, max_length=4)
    datatype: str
    data: list[Any] | None = None


class _InferBody(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    id: str | None = Field(default=None, max_length=256)
    parameters: _Parameters | None = None
    inputs: tuple[_Input, ...] = Field(min_length=1, max_length=2)
    outputs: tuple[_Tensor, ...] | None = Field(default=None, max_length=2)


@dataclass(frozen=True)
class InferRequest:
    """An inference request.

    Attributes:
        id: Identifier chosen by the client.
        pixels: `(n, H, W) uint16, [0, 65535]`, in the geometry of the model; for breasts
            `(n, 2, H, W)`, zeros for a missing view. None with `files`.
        files: Bytes of DICOM, PNG, TIFF or PGM files, one per image; for a breast two, CC and MLO,
            empty for a missing view. Empty with `pixels`.
        outputs: Names of the outputs in order, and whether each is returned as bytes.
    """

    id: str
    pixels: npt.NDArray[np.uint16] | None
    files: tuple[tuple[bytes, ...], ...]
    outputs: tuple[tuple[str, bool], ...]

    def without_files(self) -> "InferRequest":
        """Return the request without the bytes of its files."""
        return replace(self, files=())


def parse_infer_request(
    path: Path,
    header_length: str | None,
    config: ServeConfig,
    unit: Unit = "image",
    takes_pixels: bool = True,
) -> InferRequest:
    """Parse an inference request.

    Args:
        path: The body.
        header_length: Length of the JSON part if binary tensors follow it.
        config: The limits.
        unit: The input of the model.
        takes_pixels: Whether it takes pixels; if its packages take them in different geometries,
            it takes files only.

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
        require_json_limits(text)
        body = _InferBody.model_validate_json(text)
    except DocumentError as error:
        raise invalid_request_error("a request of the protocol v2", error.received) from error
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        location = ".".join(map(str, fault["loc"])) or "the body"
        received = f"{location}: {fault['msg']}"
        raise invalid_request_error("a request of the protocol v2", received) from error
    names, datatype = _input_names(body, unit, takes_pixels)
    [shape, *others] = {tensor.shape for tensor in body.inputs}
    count = shape[0]
    if others:
        raise invalid_request_error(
            "one shape for both views", f"shapes {list(shape)} and {list(others[0])}"
        )
    if count * len(body.inputs) > config.max_images:
        raise invalid_request_error(
            f"1 to {config.max_images} images in a request", f"shape {list(shape)}"
        )
    by_name = {tensor.name: tensor for tensor in body.inputs}
    parts = dict(zip(by_name, _split_binary(body, binary), strict=True))
    if datatype == "UINT16":
        pixels = {
            name: parse_pixels(by_name[name].data, by_name[name].shape, part)
            for name, part in parts.items()
        }
        if unit == "image":
            return InferRequest(body.id or "", pixels[names[0]], (), _parse_outputs(body))
        blank = np.zeros_like(next(iter(pixels.values())))
        pair = np.stack([pixels.get(name, blank) for name in names], axis=1)
        return InferRequest(body.id or "", pair, (), _parse_outputs(body))
    contents = {
        name: parse_files(by_name[name].data, by_name[name].shape, part)
        for name, part in parts.items()
    }
    files = tuple(zip(*(contents.get(name, (b"",) * count) for name in names), strict=True))
    return InferRequest(body.id or "", None, files, _parse_outputs(body))


def _input_names(body: _InferBody, unit: Unit, takes_pixels: bool) -> tuple[tuple[str, ...], str]:
    """Return the possible names of inputs, and the datatype of the inputs sent."""
    sent = [(tensor.name, tensor.datatype) for tensor in body.inputs]
    possible = {
        datatype: names
        for datatype, names in INPUTS[unit].items()
        if takes_pixels or datatype != "UINT16"
    }
    for datatype, names in possible.items():
        if len(set(sent)) == len(sent) and {*sent} <= {(name, datatype) for name in names}:
            return names, datatype
    raise invalid_request_error(
        "an input "
        + " or ".join(
            f"{' and '.join(f'`{name}`' for name in names)} of {datatype}"
            for datatype, names in possible.items()
        )
        + ("" if takes_pixels else " (the models take pixels in different geometries)"),
        ", ".join(f"{name[:40]} of {datatype[:40]}" for name, datatype in sent),
    )


def _split_binary(body: _InferBody, binary: bytes) -> list[bytes]:
    """Split the bytes after the JSON among the inputs, in their order."""
    parts, offset = [], 0
    for tensor in body.inputs:
        declared = tensor.parameters.binary_data_size if tensor.parameters else None
        if (declared is None) == (tensor.data is None):
            raise invalid_request_error("either data or binary_data_size", "both or neither")
        size = 0 if declared is None else declared
        left = len(binary) - offset
        if size > left:
            raise invalid_request_error(
                f"binary data of {str(declared)[:20]} bytes", f"{left} bytes"
            )
        parts.append(binary[offset : offset + size])
        offset += size
    if offset != len(binary):
        raise invalid_request_error(f"binary data of {offset} bytes", f"{len(binary)} bytes")
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
    if not re.fullmatch("[0-9]{1,18}", header) or int(header) > size:
        raise invalid_request_error(f"{HEADER_LENGTH} of at most {size}", header[:40])
    return int(header)


def _parse_outputs(body: _InferBody) -> tuple[tuple[str, bool], ...]:
    as_bytes = bool(body.parameters and body.parameters.binary_data_output)
    if not body.outputs:
        return tuple((name, as_bytes) for name in OUTPUTS)
    unknown = [part.name for part in body.outputs if part.name not in OUTPUTS]
    if unknown:
        raise invalid_request_error(f"outputs {' and '.join(OUTPUTS)}", f"{unknown[0][:40]}")
    if len({part.name for part in body.outputs}) < len(body.outputs):
        raise invalid_request_error("each output once", "an output twice")
    return tuple((part.name, _is_binary(part.parameters, as_bytes)) for part in body.outputs)


def _is_binary(parameters: _Parameters | None, default: bool) -> bool:
    binary = parameters.binary_data if parameters else None
    return default if binary is None else binary
