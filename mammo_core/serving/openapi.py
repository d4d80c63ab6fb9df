"""The OpenAPI document of a server: what exactly this model takes and returns."""

from importlib.metadata import version as version_of
from typing import Any, Final

from mammo_core.reporting.page import NOTICE
from mammo_core.scoring.model import ScoringModel
from mammo_core.serving.config import ServeConfig
from mammo_core.serving.openapi_schemas import build_schemas, reference

#: Values of the parameter `explain`.
EXPLAIN_VALUES: Final = {"0": False, "1": True, "false": False, "true": True}
_ERRORS: Final = {
    400: "Not a request of this API",
    401: "No valid token",
    404: "Another model, version or path",
    408: "The request arrived too slowly",
    413: "The body is too large",
    415: "Another content type, or a compressed body",
    422: "A file that cannot be scored, or pixels of another geometry",
    503: "Too many requests, or work that took too long; try again",
}
_BODY_ERRORS: Final = (400, 408, 413, 415, 422, 503)
_FILE_TYPES: Final = ("application/dicom", "application/octet-stream", "image/png", "image/tiff")


def build_openapi(
    model: ScoringModel, name: str, version: str, config: ServeConfig, *, has_tokens: bool = False
) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a server.

    Args:
        model: The model that is served.
        name: Name of the model in paths.
        version: Version of the model in paths.
        config: The limits.
        has_tokens: Whether clients need a token.
    """
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": f"Mammo Pipelines: {name}",
            "version": version_of("mammo-pipelines"),
            "description": f"{NOTICE} Open Inference Protocol v2, and files to scores.",
        },
        "paths": _paths(model, name, version, config, has_tokens),
        "components": {"schemas": build_schemas(model, config)},
    }
    if has_tokens:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _paths(
    model: ScoringModel, name: str, version: str, config: ServeConfig, has_tokens: bool
) -> dict[str, Any]:
    errors = (401,) if has_tokens else ()

    def get(summary: str, schema: str, *statuses: int) -> dict[str, Any]:
        return _operation(summary, _json(schema), (400, *errors, *statuses))

    # The id of an operation is unique in the document.
    paths: dict[str, Any] = {
        "/": {"get": get("Name, version and notice", "Server")},
        "/openapi.json": {"get": get("This document", "Document")},
        "/metrics": {
            "get": _operation(
                "Metrics for Prometheus",
                {"text/plain": {"schema": {"type": "string"}}},
                (400, *errors),
            )
        },
        "/v2": {"get": get("Server metadata", "ServerMetadata")},
        "/v2/health/live": {"get": _health("Whether the server is alive")},
        "/v2/health/ready": {"get": _health("Whether the server accepts requests")},
        "/score": {"post": _score(model, errors)},
    }
    if config.api_pages:
        content = {"text/html": {"schema": {"type": "string"}}}
        page = _operation("A page about this API", content, (400, *errors))
        paths["/docs"] = {"get": page}
    for suffix, parameters in (
        ("", [_parameter("model", name)]),
        ("/versions/{version}", [_parameter("model", name), _parameter("version", version)]),
    ):
        path = f"/v2/models/{{model}}{suffix}"
        paths[path] = {
            "parameters": parameters,
            "get": get("Model metadata: inputs, outputs, model id", "ModelMetadata", 404),
        }
        paths[f"{path}/ready"] = {
            "parameters": parameters,
            "get": get("Whether the model is ready", "ModelReady", 404),
        }
        paths[f"{path}/infer"] = {"parameters": parameters, "post": _infer(errors)}
    for path, item in paths.items():
        for method, operation in item.items():
            if method != "parameters":
                words = path.replace("{", "").replace("}", "").replace(".", "/").split("/")
                operation["operationId"] = "_".join(filter(None, (method, *words)))
    return paths


def _score(model: ScoringModel, errors: tuple[int, ...]) -> dict[str, Any]:
    is_breast = model.unit == "breast"
    operation = _operation(
        "Score a file, or the two views of a breast" if is_breast else "Score a file",
        _json("Score"),
        (*errors, *_BODY_ERRORS),
    )
    operation["description"] = "One DICOM, PNG, TIFF or PGM file is the body, or a form's file."
    if is_breast:
        operation["description"] += (
            " For both views, a form with two files. A file whose header has no view has that of "
            "the name of its form field, `cc` or `mlo`."
        )
    operation["parameters"] = [
        {
            "name": "explain",
            "in": "query",
            "description": "Whether to return the regions with the highest scores",
            "schema": {"type": "string", "enum": list(EXPLAIN_VALUES), "default": "0"},
        }
    ]
    # A file of these types has no JSON schema (OpenAPI 3.1, 4.8.14.2).
    operation["requestBody"] = {
        "required": True,
        "content": {
            **{media_type: {} for media_type in _FILE_TYPES},
            "multipart/form-data": {"schema": reference("ScoreForm")},
        },
    }
    return operation


def _infer(errors: tuple[int, ...]) -> dict[str, Any]:
    content = _json("InferResponse") | {"application/octet-stream": {}}
    operation = _operation("Run an inference request", content, (404, *errors, *_BODY_ERRORS))
    operation["description"] = (
        "Tensors are JSON, or bytes after the JSON (the binary tensor extension: "
        "`binary_data_size`, and the header `Inference-Header-Content-Length`). Files may be sent "
        "instead of pixels: inputs of the datatype BYTES, as base64 in JSON."
    )
    operation["requestBody"] = {
        "required": True,
        # No schema describes JSON with bytes after it.
        "content": _json("InferRequest"),
    }
    return operation


def _health(summary: str) -> dict[str, Any]:
    operation = _operation(summary, _json("Health"), ())
    operation["security"] = []
    return operation


def _operation(summary: str, content: dict[str, Any], statuses: tuple[int, ...]) -> dict[str, Any]:
    return {
        "summary": summary,
        "responses": {
            "200": {"description": "The result", "content": content},
            **{
                str(status): {"description": _ERRORS[status], "content": _json("Error")}
                for status in sorted(set(statuses))
            },
            "default": {"description": "Another error", "content": _json("Error")},
        },
    }


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": reference(schema)}}


def _parameter(name: str, value: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "schema": {"type": "string", "enum": [value]},
    }
