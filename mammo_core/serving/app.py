"""The service: routes, limits, answers."""

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
from mammo_core.serving.faults import RefusedError
from mammo_core.serving.gate import Gate
from mammo_core.serving.measures import Measures
from mammo_core.serving.protocol import HEADER_LENGTH, INPUTS, OUTPUTS, parse_infer, response

_IMAGES = (
    "", "application/dicom", "application/octet-stream", "image/png", "image/tiff",
    "multipart/form-data",
)  # fmt: skip


def create_app(package: Package, name: str, version: str, config: ServeConfig) -> FastAPI:
    """Make the service of a package.

    Args:
        package: Verified and loaded.
        name: Of the model, in paths.
        version: Of the model, in paths.
        config: The limits.
    """
    state = _Service(package, name, version, config)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        state.engine.close()

    app = FastAPI(title=f"Mammo Pipelines: {name}", description=NOTICE, lifespan=lifespan)
    app.add_middleware(Gate, config=config, measures=state.measures)
    model = "/v2/models/{model}"
    routes: list[tuple[str, str, Callable[..., Any]]] = [
        ("/", "GET", state.root),
        ("/metrics", "GET", state.metrics),
        ("/v2", "GET", state.server),
        ("/v2/health/live", "GET", state.live),
        ("/v2/health/ready", "GET", state.live),
        ("/score", "POST", state.score),
        *(
            (f"{model}{of}{what}", method, route)
            for of in ("", "/versions/{version}")
            for what, method, route in (
                ("", "GET", state.metadata),
                ("/ready", "GET", state.ready),
                ("/infer", "POST", state.infer),
            )
        ),
    ]
    for path, method, route in routes:
        app.add_api_route(path, route, methods=[method], response_model=None)

    @app.exception_handler(HTTPException)
    async def _no_route(_: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    return app


class _Service:
    def __init__(self, package: Package, name: str, version: str, config: ServeConfig) -> None:
        self.engine = Engine(package, config.slots)
        self._package, self._name, self._version = package, name, version
        self._config = config
        self.measures = Measures(name, version, package.model_id)

    async def root(self) -> Response:
        """What this is."""
        return JSONResponse({"notice": NOTICE, "model": self._name, "version": self._version})

    async def metrics(self) -> Response:
        """For Prometheus."""
        return Response(self.measures.text(), media_type="text/plain; version=0.0.4")

    async def server(self) -> Response:
        """Server metadata of the protocol."""
        from importlib.metadata import version

        return JSONResponse(
            {
                "name": "mammo",
                "version": version("mammo-pipelines"),
                "extensions": ["binary_tensor_data"],
            }
        )

    async def live(self) -> Response:
        """Live and ready: the model was loaded before the port was opened."""
        return JSONResponse({"live": True, "ready": True})

    async def ready(self, request: Request) -> Response:
        """Whether the model is here."""
        self._check(request)
        return JSONResponse({"name": self._name, "ready": True})

    async def metadata(self, request: Request) -> Response:
        """Model metadata of the protocol, and what the package says."""
        self._check(request)
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
                        {"name": one, "datatype": "UINT16", "shape": [-1, geometry.height, width]}
                        for one in INPUTS[unit]["UINT16"]
                    ),
                    *(
                        {"name": one, "datatype": "BYTES", "shape": [-1]}
                        for one in INPUTS[unit]["BYTES"]
                    ),
                ],
                "outputs": [{"name": one, "datatype": "FP32", "shape": [-1]} for one in OUTPUTS],
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
        """Score one DICOM, PNG or TIFF file: the body, or the one file of a form.

        A form has two files where the model sees both views of a breast. A file whose header
        does not tell its view has that of its field, `cc` or `mlo`.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in _IMAGES:
            raise RefusedError(
                415,
                "The body is of a kind that is not scored",
                expected=", ".join(_IMAGES[1:]),
                received=kind[:60],
            )
        explain = request.query_params.get("explain", "").lower() in ("1", "true", "yes")
        pairs = self._package.unit == "breast"
        most = len(VIEWS) if pairs else 1
        async with body_files(request, self._config, most) as files, self.engine.slot():
            row = await self.engine.score_files(
                [(file.path, _view(file.field) if pairs else None) for file in files], explain
            )
        self._count(row["decision"], bool(row["warnings"]))
        return JSONResponse(
            {"model_name": self._name, "model_version": self._version, **row, "notice": NOTICE}
        )

    async def infer(self, request: Request) -> Response:
        """Inference of the protocol."""
        self._check(request)
        length = request.headers.get(HEADER_LENGTH)
        unit = self._package.unit
        async with body_files(request, self._config) as [sent], self.engine.slot():
            asked = await self.engine.read(
                lambda: parse_infer(sent.path, length, self._config, unit)
            )
            images = list(asked.pixels) if asked.pixels is not None else []
            for files in asked.files:
                images.append(await self._from_files(sent.path, files))
            scored = await self.engine.score(images)
        point = self._point
        for probability in scored.probability:
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
                (scored.probability.astype(np.float32), scored.calibrated.astype(np.float32)),
                strict=True,
            )
        )
        body, headers = response(head, asked, values)
        return Response(body, headers=headers)

    async def _from_files(self, body: Path, files: tuple[bytes, ...]) -> Any:
        """Return the pixels of one image, or of a breast: a view without bytes is missing."""
        views = (None,) if len(files) == 1 else VIEWS
        given = []
        for view, data in zip(views, files, strict=True):
            if data or view is None:
                path = body.with_name(view or "image")
                path.write_bytes(data)
                given.append((path, _view(view)))
        return await self.engine.pixels_of(given)

    @property
    def _point(self) -> NamedPoint | None:
        return self.engine.members.decision_point(self._package.unit)

    def _check(self, request: Request) -> None:
        model, version = (request.path_params.get(name) for name in ("model", "version"))
        if model != self._name or version not in (None, self._version):
            raise RefusedError(
                404,
                "There is no such model here",
                expected=f"{self._name}, version {self._version}",
                received="another",
            )

    def _count(self, decision: str, warned: bool) -> None:
        self.measures.images.labels(decision or "none").inc()
        self.measures.warned.inc(int(warned))


def _view(name: str | None) -> str | None:
    """The view that a field or an input is named after."""
    return name.upper() if name in VIEWS else None
