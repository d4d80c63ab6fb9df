"""The JSON schemas of the OpenAPI document: requests and responses of one model."""

from typing import Any, Final

from mammo_core.models.config import VIEWS
from mammo_core.preprocessing import Preprocessing
from mammo_core.scoring.model import ScoringModel
from mammo_core.serving.config import ServeConfig
from mammo_core.serving.protocol import INPUTS, OUTPUTS

_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_BOOLEAN: Final = {"type": "boolean"}
_PROBABILITY: Final = {"type": "number", "minimum": 0, "maximum": 1}
_PARAMETERS: Final = {
    "type": ["object", "null"],
    "properties": {
        "binary_data": {"type": ["boolean", "null"]},
        "binary_data_output": {"type": ["boolean", "null"]},
    },
    "not": {"required": ["binary_data_size"]},  # only where bytes follow the JSON
}


def reference(schema: str) -> dict[str, str]:
    """Return a reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{schema}"}


def build_schemas(model: ScoringModel, config: ServeConfig) -> dict[str, Any]:
    """Return the schemas of a server.

    Args:
        model: The model that is served.
        config: The limits.
    """
    return {
        "Error": _object(error=_TEXT, problem=_TEXT, expected=_TEXT, received=_TEXT)
        | {"description": "`error` is the whole text; `hint` the remedy, where it is known."},
        "Document": {"type": "object"},
        "Health": _object(live=_BOOLEAN, ready=_BOOLEAN),
        "Server": _object(notice=_TEXT, model=_TEXT, version=_TEXT),
        "ServerMetadata": _object(name=_TEXT, version=_TEXT, extensions=_TEXTS),
        "ModelReady": _object(name=_TEXT, ready=_BOOLEAN),
        "ModelMetadata": _object(
            name=_TEXT,
            versions=_TEXTS,
            platform=_TEXT,
            inputs={"type": "array", "items": reference("TensorMetadata")},
            outputs={"type": "array", "items": reference("TensorMetadata")},
            parameters={"type": "object"},
        ),
        "TensorMetadata": _object(
            name=_TEXT,
            datatype={"enum": ["UINT16", "BYTES", "FP32"]},
            shape={"type": "array", "items": {"type": "integer", "minimum": -1}},
        ),
        "Score": _object(
            model_name=_TEXT,
            model_version=_TEXT,
            model_id=_TEXT,
            malignant_probability=_PROBABILITY,
            calibrated_probability=_PROBABILITY,
            operating_point=_TEXT,
            decision={"enum": ["positive", "negative", ""]},
            no_decision=_TEXT | {"description": "Why there is no decision: a code, or empty"},
            **_site(model),
            unlike_training={
                "type": "array",
                "description": "How the gray levels differ from those of training images; then "
                "there is no decision",
                "items": _object(
                    code=_TEXT,
                    measure=_TEXT,
                    value={"type": "number"},
                    low={"type": ["number", "null"]},
                    high={"type": ["number", "null"]},
                    message=_TEXT,
                ),
            },
            warnings={"type": "array", "items": _object(code=_TEXT, message=_TEXT)},
            notice=_TEXT,
        ),
        "ScoreForm": _form(model),
        "InferRequest": _infer_request(model, config),
        "InferResponse": _object(
            model_name=_TEXT,
            model_version=_TEXT,
            parameters={"type": "object"},
            outputs={
                "type": "array",
                "items": _object(
                    name={"enum": list(OUTPUTS)},
                    datatype={"const": "FP32"},
                    shape={"type": "array", "items": {"type": "integer"}},
                ),
            },
        ),
    }


def _site(model: ScoringModel) -> dict[str, Any]:
    """Return the schemas of the fields that an answer has with the record of a site."""
    if model.site is None:
        return {}
    groups = {
        "enum": ["low", "unsure", "high", ""],
        "description": "The triage of the site; empty where it gives no guarantee",
    }
    return {"triage": groups, "site": _TEXT}


def _infer_request(model: ScoringModel, config: ServeConfig) -> dict[str, Any]:
    """Return the schema of an inference request with pixels as JSON, or with files.

    The number of values follows from the number of images, so there is a schema for each. Files
    are described where the packages take pixels in different geometries.
    """
    shared = model.shared_input
    names = INPUTS[model.unit]["BYTES" if shared is None else "UINT16"]
    counts = range(1, max(1, config.max_images // len(names)) + 1)
    body = _object(
        inputs={
            "oneOf": [
                {
                    "type": "array",
                    "minItems": size,
                    "maxItems": size,
                    "prefixItems": [
                        _files(count, name) if shared is None else _pixels(shared, count, name)
                        for name in tensors
                    ],
                    "items": False,
                }
                for count in counts
                for tensors in _orders(names)
                if (size := len(tensors))
            ]
        }
    )
    output = _object(name={"enum": list(OUTPUTS)})
    output["properties"]["parameters"] = _PARAMETERS
    body["properties"] |= {
        "id": {"type": ["string", "null"], "maxLength": 256},
        "parameters": _PARAMETERS,
        "outputs": {
            "type": ["array", "null"],
            "items": output,
            "maxItems": 1,
            "description": "Outputs to return; by default both",
        },
    }
    return body


def _orders(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    singles: list[tuple[str, ...]] = [(name,) for name in names]
    return singles if len(names) == 1 else [*singles, names, names[::-1]]


def _files(count: int, name: str) -> dict[str, Any]:
    tensor = _object(
        name={"const": name},
        datatype={"const": "BYTES"},
        shape={"const": [count]},
        data={
            "type": "array",
            "items": {"type": "string", "contentEncoding": "base64"},
            "minItems": count,
            "maxItems": count,
        },
    )
    tensor["properties"]["parameters"] = _PARAMETERS
    return tensor


def _pixels(preprocessing: Preprocessing, count: int, name: str) -> dict[str, Any]:
    geometry = preprocessing.geometry
    shape = [count, geometry.height, geometry.width]
    size = count * geometry.height * geometry.width
    tensor = _object(
        name={"const": name},
        datatype={"const": "UINT16"},
        shape={"const": shape},
        data={
            "type": "array",
            "items": {"type": "integer", "minimum": 0, "maximum": 65535},
            "minItems": size,
            "maxItems": size,
        },
    )
    tensor["properties"]["parameters"] = _PARAMETERS
    if geometry.resize == "height":  # the width is that of the image
        tensor["properties"]["shape"] = {"type": "array", "minItems": 3, "maxItems": 3}
        del tensor["properties"]["data"]["minItems"], tensor["properties"]["data"]["maxItems"]
    return tensor


def _form(model: ScoringModel) -> dict[str, Any]:
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    if model.unit == "image":
        return _object(file=file)
    form = {"type": "object", "properties": dict.fromkeys(VIEWS, file)}
    return form | {"anyOf": [{"required": [view]} for view in VIEWS]}


def _object(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object with these properties, all required; others may follow."""
    return {"type": "object", "required": list(properties), "properties": properties}
