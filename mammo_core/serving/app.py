"""The service: routes and responses."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from mammo_core.evaluation.decisions import NamedPoint
from mammo_core.models.config import VIEWS
from mammo_core.packaging import Package
from mammo_core.reporting.page import NOTICE
from mammo_core.serving.bodies import body_files
from mammo_core.serving.config import ServeConfig
from mammo_core.serving.engine import Engine
from mammo_core.serving.faults import RequestError
from mammo_core.serving.protocol import (
    HEADER_LENGTH,
    INPUTS,
    OUTPUTS,
    infer_response,
    parse_infer_request,
)
from mammo_core.serving.request_limiter import RequestLimiter
from mammo_core.serving.server_metrics import ServerMetrics

_CONTENT_TYPES = (
    "", "application/dicom", "application/octet-stream", "image/png", "image/tiff",
    "multipart/form-data",
)  # fmt: skip


def create_app(package: Package, name: str, version: str, config: ServeConfig) -> FastAPI:
    """Create the service of a package.

    Args:
        package: The verified and loaded package.
        name: Name of the model in paths.
        version: Version of the model in paths.
        config: The limits.
    """
    service = _Service(package, name, version, config)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.engine.close()

    app = FastAPI(title=f"Mammo Pipelines: {name}", description=NOTICE, lifespan=lifespan)
    app.add_middleware(RequestLimiter, config=config, metrics=service.metrics)
    model = "/v2/models/{model}"
    routes: list[tuple[str, str, Callable[..., Any]]] = [
        ("/", "GET", service.root),
        ("/metrics", "GET", service.get_metrics),
        ("/v2", "GET", service.server),
        ("/v2/health/live", "GET", service.live),
        ("/v2/health/ready", "GET", service.live),
        ("/score", "POST", service.score),
        *(
            (f"{model}{version_path}{action}", method, route)
            for version_path in ("", "/versions/{version}")
            for action, method, route in (
                ("", "GET", service.metadata),
                ("/ready", "GET", service.ready),
                ("/infer", "POST", service.infer),
            )
        ),
    ]
    for path, method, route in routes:
        app.add_api_route(path, route, methods=[method], response_model=None)

    @app.exception_handler(HTTPException)
    async def _http_error(_: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    return app


class _Service:
    def __init__(self, package: Package, name: str, version: str, config: ServeConfig) -> None:
        self.engine = Engine(package, config.slots)
        self._package, self._name, self._version = package, name, version
        self._config = config
        self.metrics = ServerMetrics(name, version, package.model_id)

    async def root(self) -> Response:
        """Return name, version and notice."""
        return JSONResponse({"notice": NOTICE, "model": self._name, "version": self._version})

    async def get_metrics(self) -> Response:
        """Return the metrics for Prometheus."""
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")

    async def server(self) -> Response:
        """Return the server metadata of the protocol."""
        from importlib.metadata import version

        return JSONResponse(
            {
                "name": "mammo",
                "version": version("mammo-pipelines"),
                "extensions": ["binary_tensor_data"],
            }
        )

    async def live(self) -> Response:
        """Report live and ready: the model is loaded before the port is opened."""
        return JSONResponse({"live": True, "ready": True})

    async def ready(self, request: Request) -> Response:
        """Report that the model is ready."""
        self._require_model(request)
        return JSONResponse({"name": self._name, "ready": True})

    async def metadata(self, request: Request) -> Response:
        """Return the model metadata of the protocol, with facts of the package."""
        self._require_model(request)
        geometry, unit = self._package.preprocessing.geometry, self._package.unit
        width = -1 if geometry.resize == "height" else geometry.width
        point = self._point
        return JSONResponse(
            {
                "name": self._name,
                "versions": [self._version],
                "platform": "mammo-pipelines",
                "inputs": [
                    *(
                        {"name": name, "datatype": "UINT16", "shape": [-1, geometry.height, width]}
                        for name in INPUTS[unit]["UINT16"]
                    ),
                    *(
                        {"name": name, "datatype": "BYTES", "shape": [-1]}
                        for name in INPUTS[unit]["BYTES"]
                    ),
                ],
                "outputs": [{"name": name, "datatype": "FP32", "shape": [-1]} for name in OUTPUTS],
                "parameters": {
                    "model_id": self._package.model_id,
                    "unit": unit,
                    "signed_by": self._package.manifest.signed_by,
                    "operating_point": point.name if point else "",
                    "notice": NOTICE,
                },
            }
        )

    async def score(self, request: Request) -> Response:
        """Score a DICOM, PNG or TIFF file: the body, or the file of a form.

        For a model of two views, the form may have two files. If the header of a file has no
        view, its view is that of its form field, `cc` or `mlo`.
        """
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type not in _CONTENT_TYPES:
            raise RequestError(
                415,
                "The content type is not supported",
                expected=", ".join(_CONTENT_TYPES[1:]),
                received=content_type[:60],
            )
        explain = request.query_params.get("explain", "").lower() in ("1", "true", "yes")
        is_breast = self._package.unit == "breast"
        max_files = len(VIEWS) if is_breast else 1
        async with body_files(request, self._config, max_files) as files, self.engine.slot():
            row = await self.engine.score_files(
                [(file.path, _view(file.field) if is_breast else None) for file in files], explain
            )
        self._count(row["decision"], bool(row["warnings"]))
        return JSONResponse(
            {"model_name": self._name, "model_version": self._version, **row, "notice": NOTICE}
        )

    async def infer(self, request: Request) -> Response:
        """Run an inference request of the protocol."""
        self._require_model(request)
        length = request.headers.get(HEADER_LENGTH)
        unit = self._package.unit
        async with body_files(request, self._config) as [body], self.engine.slot():
            infer = await self.engine.read(
                lambda: parse_infer_request(body.path, length, self._config, unit)
            )
            images = list(infer.pixels) if infer.pixels is not None else []
            for files in infer.files:
                images.append(await self._pixels_from_files(body.path, files))
            scores = await self.engine.score(images)
        point = self._point
        for probability in scores.probability:
            positive = point is not None and probability >= point.threshold
            self._count(("positive" if positive else "negative") if point else "", False)
        head = {
            "model_name": self._name,
            "model_version": self._version,
            "parameters": {"model_id": self._package.model_id},
        }
        values = dict(
            zip(
                OUTPUTS,
                (scores.probability.astype(np.float32), scores.calibrated.astype(np.float32)),
                strict=True,
            )
        )
        content, headers = infer_response(head, infer, values)
        return Response(content, headers=headers)

    async def _pixels_from_files(self, body: Path, files: tuple[bytes, ...]) -> Any:
        """Return the pixels of an image or of a breast; empty bytes are a missing view."""
        views = (None,) if len(files) == 1 else VIEWS
        written = []
        for view, data in zip(views, files, strict=True):
            if data or view is None:
                path = body.with_name(view or "image")
                path.write_bytes(data)
                written.append((path, _view(view)))
        return await self.engine.read_pixels(written)

    @property
    def _point(self) -> NamedPoint | None:
        return self.engine.model.decision_point(self._package.unit)

    def _require_model(self, request: Request) -> None:
        model, version = (request.path_params.get(name) for name in ("model", "version"))
        if model != self._name or version not in (None, self._version):
            raise RequestError(
                404,
                "This server has no such model",
                expected=f"{self._name}, version {self._version}",
                received="another model or version",
            )

    def _count(self, decision: str, warned: bool) -> None:
        self.metrics.images.labels(decision or "none").inc()
        self.metrics.warned.inc(int(warned))


def _view(name: str | None) -> str | None:
    """Return the view of a form field or input with this name."""
    return name.upper() if name in VIEWS else None
