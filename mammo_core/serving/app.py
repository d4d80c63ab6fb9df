"""The application: routes, and the layers around them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from mammo_core.packaging import Package
from mammo_core.scoring.events import EventRecorder, EventSink
from mammo_core.scoring.model import ScoringModel
from mammo_core.serving.config import ServeConfig
from mammo_core.serving.faults import http_error_content
from mammo_core.serving.server_metrics import ServerMetrics
from mammo_core.serving.service import Service
from mammo_core.serving.transport.access_log import AccessLog
from mammo_core.serving.transport.authentication import Authenticator
from mammo_core.serving.transport.request_limiter import RequestLimiter


def create_app(
    model: Package | ScoringModel,
    name: str,
    version: str,
    config: ServeConfig,
    *,
    signed_by: str = "unsigned",
    authenticator: Authenticator | None = None,
    log: AccessLog | None = None,
    metrics: ServerMetrics | None = None,
    events: EventSink | None = None,
    keyed_events: bool = False,
) -> FastAPI:
    """Create the service of a model.

    Args:
        model: The verified and loaded package, or several with their weights.
        name: Name of the model in paths.
        version: Version of the model in paths.
        config: The limits.
        signed_by: Ids of the keys that signed the packages, or `unsigned`.
        authenticator: Recognizes clients; None to serve anyone.
        log: The log of requests; by default none.
        metrics: The metrics to update; by default new ones.
        events: Takes an event for each scored file; None: only the metrics count them.
        keyed_events: Whether events have ids under the site key.

    Raises:
        SourceError: Events are to have keyed ids, and there is no site key.
    """
    scoring_model = ScoringModel.of(model)
    if metrics is None:
        metrics = ServerMetrics()
        metrics.set_model(name, version, scoring_model.model_id)
    service = Service(
        scoring_model,
        name,
        version,
        config,
        metrics,
        signed_by=signed_by,
        has_tokens=authenticator is not None,
        recorder=EventRecorder(
            [metrics] if events is None else [metrics, events], keyed=keyed_events
        ),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.engine.close()

    # The document of the API is our own: that of FastAPI knows neither bodies nor errors, and its
    # pages load scripts from elsewhere.
    app = FastAPI(
        docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, lifespan=lifespan
    )
    app.add_middleware(
        RequestLimiter,
        config=config,
        metrics=metrics,
        log=log or AccessLog(None),
        authenticator=authenticator,
    )
    app.state.service = service
    model_path = "/v2/models/{model}"
    routes: list[tuple[str, str, Callable[..., Any]]] = [
        ("/", "GET", service.root),
        ("/openapi.json", "GET", service.openapi),
        ("/metrics", "GET", service.get_metrics),
        ("/v2", "GET", service.server),
        ("/v2/health/live", "GET", service.live),
        ("/v2/health/ready", "GET", service.live),
        ("/score", "POST", service.score),
        *(
            (f"{model_path}{version_path}{action}", method, route)
            for version_path in ("", "/versions/{version}")
            for action, method, route in (
                ("", "GET", service.metadata),
                ("/ready", "GET", service.ready),
                ("/infer", "POST", service.infer),
            )
        ),
    ]
    if config.api_pages:
        routes.append(("/docs", "GET", service.api_page))
    for path, method, route in routes:
        app.add_api_route(path, route, methods=[method], response_model=None)

    @app.exception_handler(HTTPException)
    async def _http_error(request: Request, error: HTTPException) -> Response:
        allow = (error.headers or {}).get("Allow", "")
        content = http_error_content(error.status_code, request.method, allow)
        return JSONResponse(content, error.status_code, error.headers)

    return app
