"""The routes: what each of them does with a request."""

import asyncio
import json
from collections.abc import Coroutine, Mapping
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from fastapi import Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.requests import ClientDisconnect

from mammo_core.evaluation.decisions import NamedPoint
from mammo_core.models.config import VIEWS
from mammo_core.reporting.page import NOTICE
from mammo_core.scoring.events import EventRecorder
from mammo_core.scoring.model import ScoringModel
from mammo_core.serving.api_page import build_api_page
from mammo_core.serving.config import ServeConfig
from mammo_core.serving.engine import Engine, Probabilities
from mammo_core.serving.faults import RequestError
from mammo_core.serving.openapi import EXPLAIN_VALUES, build_openapi
from mammo_core.serving.protocol import (
    HEADER_LENGTH,
    INPUTS,
    OUTPUTS,
    InferRequest,
    infer_response,
    parse_infer_request,
)
from mammo_core.serving.server_metrics import ServerMetrics
from mammo_core.serving.transport.bodies import body_files

_Result = TypeVar("_Result")
_CONTENT_TYPES: Final = (
    "", "application/dicom", "application/octet-stream", "image/png", "image/tiff",
    "multipart/form-data",
)  # fmt: skip


class Service:
    """The routes of one model.

    Args:
        model: The verified and loaded packages.
        name: Name of the model in paths.
        version: Version of the model in paths.
        config: The limits.
        metrics: The metrics to update.
        signed_by: Ids of the keys that signed the packages, or `unsigned`.
        has_tokens: Whether clients need a token.
        recorder: Records an event for each scored file; None: nothing is recorded.
    """

    def __init__(
        self,
        model: ScoringModel,
        name: str,
        version: str,
        config: ServeConfig,
        metrics: ServerMetrics,
        *,
        signed_by: str = "unsigned",
        has_tokens: bool = False,
        recorder: EventRecorder | None = None,
    ) -> None:
        self.engine = Engine(model, config.slots, config.on_request, config.decide_unlike, recorder)
        self._model, self._name, self._version = model, name, version
        self._config, self._metrics, self._signed_by = config, metrics, signed_by
        self._document = build_openapi(model, name, version, config, has_tokens=has_tokens)
        self._jobs: set[asyncio.Task[Any]] = set()

    async def root(self) -> Response:
        """Return name, version and notice."""
        return JSONResponse({"notice": NOTICE, "model": self._name, "version": self._version})

    async def openapi(self) -> Response:
        """Return the OpenAPI document."""
        return JSONResponse(self._document)

    async def api_page(self) -> Response:
        """Return a page about the API, made from the document; it loads nothing."""
        policy = "default-src 'none'; style-src 'unsafe-inline'"
        page = build_api_page(self._document)
        return HTMLResponse(page, headers={"content-security-policy": policy})

    async def get_metrics(self) -> Response:
        """Return the metrics for Prometheus."""
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def server(self) -> Response:
        """Return the server metadata of the protocol."""
        return JSONResponse(
            {
                "name": "mammo",
                "version": version_of("mammo-pipelines"),
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
        """Return the model metadata of the protocol, with facts of the packages."""
        self._require_model(request)
        model, unit, point = self._model, self._model.unit, self._point
        return JSONResponse(
            {
                "name": self._name,
                "versions": [self._version],
                "platform": "mammo-pipelines",
                "inputs": [
                    *_pixel_inputs(model),
                    *(
                        {"name": name, "datatype": "BYTES", "shape": [-1]}
                        for name in INPUTS[unit]["BYTES"]
                    ),
                ],
                "outputs": [{"name": name, "datatype": "FP32", "shape": [-1]} for name in OUTPUTS],
                "parameters": {
                    "model_id": model.model_id,
                    "unit": unit,
                    **_members(model),
                    "signed_by": self._signed_by,
                    "operating_point": point.name if point else "",
                    "gray_levels": model.gray_levels,
                    **({} if model.site is None else model.site.describe()),
                    "notice": NOTICE,
                },
            }
        )

    async def score(self, request: Request) -> Response:
        """Score a DICOM, PNG, TIFF or PGM file: the body, or the file of a form.

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
        value = request.query_params.get("explain", "0")
        if value not in EXPLAIN_VALUES:
            raise RequestError(
                400,
                "The parameter `explain` is not valid",
                expected=" or ".join(EXPLAIN_VALUES),
                received="another value",
            )
        is_breast = self._model.unit == "breast"
        max_files = len(VIEWS) if is_breast else 1
        async with body_files(request, self._config, max_files) as files:
            paths = [(file.path, _view(file.field) if is_breast else None) for file in files]
            client = request.scope["mammo.client"]
            explain = EXPLAIN_VALUES[value]
            row = await self._work(request, self.engine.score_files(client, paths, explain))
        self._count(row["decision"], bool(row["warnings"]))
        return JSONResponse(
            {"model_name": self._name, "model_version": self._version, **row, "notice": NOTICE}
        )

    async def infer(self, request: Request) -> Response:
        """Run an inference request of the protocol."""
        self._require_model(request)
        length = request.headers.get(HEADER_LENGTH)
        client = request.scope["mammo.client"]
        async with body_files(request, self._config) as [body]:
            infer, scores, unlike = await self._work(
                request, self._infer(client, body.path, length)
            )
        point = self._point
        for number, probability in enumerate(scores.probability):
            positive = point is not None and probability >= point.threshold
            decides = point is not None and (self._config.decide_unlike or number not in unlike)
            self._count(("positive" if positive else "negative") if decides else "", False)
        head: dict[str, Any] = {
            "model_name": self._name,
            "model_version": self._version,
            "parameters": {"model_id": self._model.model_id},
        }
        if unlike:
            head["parameters"]["unlike_training"] = json.dumps(unlike)
        if self._model.site is not None:
            head["parameters"] |= self._site_parameters(scores, unlike)
        values = dict(
            zip(
                OUTPUTS,
                (scores.probability.astype(np.float32), scores.calibrated.astype(np.float32)),
                strict=True,
            )
        )
        content, headers = infer_response(head, infer, values)
        return Response(content, headers=headers)

    def _site_parameters(
        self, scores: Probabilities, unlike: Mapping[int, object]
    ) -> dict[str, str]:
        """Return the site, and the groups of its triage as JSON text, for an inference."""
        fields = [
            self._model.site_fields(
                self._model.unit,
                float(probability),
                is_decided=self._config.decide_unlike or number not in unlike,
            )
            for number, probability in enumerate(scores.probability)
        ]
        groups = json.dumps([each["triage"] for each in fields])
        return {"site": fields[0]["site"] if fields else "", "triage": groups}

    async def _infer(
        self, client: str, body: Path, length: str | None
    ) -> tuple[InferRequest, Probabilities, dict[int, list[dict[str, Any]]]]:
        config, model = self._config, self._model
        takes_pixels = model.shared_input is not None

        def parse() -> tuple[InferRequest, list[list[tuple[Path, str | None]]]]:
            infer = parse_infer_request(body, length, config, model.unit, takes_pixels)
            # On disk while they wait for a slot.
            written = [_write_files(body.parent, n, files) for n, files in enumerate(infer.files)]
            return infer.without_files(), written

        async with self.engine.slot(client):
            infer, written = await self.engine.read(parse)
            if infer.pixels is not None:
                count = len(model.packages)
                images = [[pixels] * count for pixels in infer.pixels]
                return infer, await self.engine.score(images), {}
        read = [await self.engine.read_pixels(client, files) for files in written]
        unlike = {number: rows for number, (_, rows) in enumerate(read) if rows}
        async with self.engine.slot(client):
            scores = await self.engine.score([unit.pixels for unit, _ in read])
        self.engine.record([unit for unit, _ in read], scores)
        return infer, scores, unlike

    async def _work(self, request: Request, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Wait for work within its time, as long as the client does.

        Raises:
            RequestError: It took too long (503).
            ClientDisconnect: The client is gone; work that waits is given up.
        """
        job = asyncio.create_task(work)
        gone = asyncio.create_task(_disconnected(request))
        # Canceled work holds its slot until its thread ends, so somebody must keep it.
        self._jobs.add(job)
        job.add_done_callback(self._end_job)
        try:
            await asyncio.wait(
                {job, gone}, timeout=self._config.work_s, return_when=asyncio.FIRST_COMPLETED
            )
            if job.done():
                return job.result()
            if gone.done():
                raise ClientDisconnect
            raise RequestError(
                503,
                "The work took too long",
                expected=f"at most {self._config.work_s:g} s, waiting included",
                received="more",
                headers={"retry-after": "10"},
            )
        finally:
            job.cancel()
            gone.cancel()

    def _end_job(self, job: "asyncio.Task[Any]") -> None:
        self._jobs.discard(job)
        if not job.cancelled():
            job.exception()  # retrieved, though its request may be over

    @property
    def _point(self) -> NamedPoint | None:
        return self._model.decision_point(self._model.unit)

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
        self._metrics.images.labels(decision or "none").inc()
        self._metrics.warned.inc(int(warned))


def _pixel_inputs(model: ScoringModel) -> list[dict[str, Any]]:
    """The inputs of pixels; none if the packages take them in different geometries."""
    shared = model.shared_input
    if shared is None:
        return []
    width = -1 if shared.geometry.resize == "height" else shared.geometry.width
    shape = [-1, shared.geometry.height, width]
    names = INPUTS[model.unit]["UINT16"]
    return [{"name": name, "datatype": "UINT16", "shape": shape} for name in names]


def _members(model: ScoringModel) -> dict[str, str]:
    """What is averaged, if it is more than one package."""
    if len(model.packages) == 1:
        return {}
    pairs = zip(model.packages, model.weights, strict=True)
    return {"members": "; ".join(f"{one.model_id} weight {weight:.6g}" for one, weight in pairs)}


def _write_files(
    folder: Path, number: int, files: tuple[bytes, ...]
) -> list[tuple[Path, str | None]]:
    """Write the files of an image or of a breast; empty bytes are a missing view."""
    views = (None,) if len(files) == 1 else VIEWS
    written: list[tuple[Path, str | None]] = []
    for view, data in zip(views, files, strict=True):
        if data or view is None:
            path = folder / f"{number}-{view or 'image'}"
            path.write_bytes(data)
            written.append((path, _view(view)))
    return written


async def _disconnected(request: Request) -> None:
    """Wait until the client is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _view(name: str | None) -> str | None:
    """Return the view of a form field or input with this name."""
    return name.upper() if name in VIEWS else None
