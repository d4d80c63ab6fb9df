"""Running the service until a signal stops it."""

import atexit
import os
import resource
import signal
import ssl
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final, Protocol

from mammo_core.errors import RecipeError
from mammo_core.packaging import require_expected_outputs
from mammo_core.packaging.allowed_uses import require_use
from mammo_core.registry import open_package
from mammo_core.scoring.events import EventSink
from mammo_core.scoring.site_rules import SiteRules
from mammo_core.serving.config import ServeConfig
from mammo_core.serving.transport.access_log import AccessLog
from mammo_core.serving.transport.authentication import Authenticator
from mammo_core.serving.transport.connections import Connections, ListeningSocket

#: File descriptors for everything but connections: bodies, decoders, libraries.
_OTHER_FILES: Final = 256


class EventStore(EventSink, Protocol):
    """Records events in a store."""

    def counts(self) -> Mapping[str, int]:
        """Return the events `written`, `dropped` and `waiting`, and the store's `failures`."""

    def close(self) -> Mapping[str, int]:
        """Write what waits; return the counts."""


@dataclass(frozen=True)
class Access:
    """Where a server listens, and who may reach it.

    Attributes:
        host: Address to listen at.
        port: Port to listen at; 0 chooses a free one.
        health_port: Port of health and metrics, in a thread of its own; None for none.
        authenticator: Recognizes clients; None to serve anyone.
        tls: The TLS settings; None for plain HTTP.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    health_port: int | None = None
    authenticator: Authenticator | None = None
    tls: ssl.SSLContext | None = None


def serve(
    uris: Sequence[str],
    *,
    access: Access,
    config: ServeConfig,
    weights: Sequence[float] | None = None,
    name: str = "",
    public_key: Path | None = None,
    site: SiteRules | None = None,
    acknowledged: Sequence[str] = (),
    events: EventStore | None = None,
    keyed_events: bool = False,
) -> None:
    """Load packages, check them, and serve them as one model.

    SIGTERM and SIGINT stop the server: it accepts no new connections and completes its requests.

    Args:
        uris: URI of each package, as in `registry.open_package`; the probabilities of several are
            averaged.
        access: Where it listens, and who may reach it.
        config: The limits.
        weights: One per package; None for equal weights.
        name: Name of the model in paths; by default its name in the registry or in the package,
            and `ensemble` for several.
        public_key: PEM file of the key that must have signed the packages.
        site: The rules of the site that accepted the model; None: those of the package.
        acknowledged: Names of terms that forbid to serve a model, and do not stop the server.
        events: Records an event for each scored file; closed at the end. None: none are recorded.
        keyed_events: Whether events have ids under the site key.

    Raises:
        SourceError: The terms of a model's data forbid to serve it, and were not acknowledged.
        ModelError: A package does not verify, is not signed by a trusted key, or does not
            reproduce its expected outputs, or the site accepted another model.
        RecipeError: A port is in use, there are too few file descriptors, or the packages or
            weights cannot be combined.
    """
    from mammo_core.scoring.model import ScoringModel
    from mammo_core.serving.app import create_app
    from mammo_core.serving.health import HealthServer
    from mammo_core.serving.server_metrics import ServerMetrics
    from mammo_core.serving.transport.server import Server

    _raise_file_limit(config.max_connections + _OTHER_FILES)
    metrics = ServerMetrics()
    if events is not None:
        metrics.watch_events(events.counts)
    connections = Connections(config.max_connections)
    # Bound before the model is loaded, so that a port in use is reported at once; opened after.
    with _bind(access.host, access.port, connections) as listener:
        health = None
        if access.health_port is not None:
            try:
                health = HealthServer((access.host, access.health_port), metrics.text)
            except OSError as error:
                raise _port_error(access.host, access.health_port, error) from error
            health.start()
        members = [open_package(uri, public_key) for uri in uris]
        for opened in members:
            require_use(opened, "serving", acknowledged, "served")
        packages = [opened.load() for opened in members]
        scoring_model = ScoringModel.from_packages(packages, weights, site=site)
        samples = sum(require_expected_outputs(package).samples for package in packages)
        model_id = scoring_model.model_id
        model, version = "ensemble", model_id[:12]
        if len(members) == 1:
            model, number = members[0].name, members[0].version
            version = version if number is None else str(number)
        model = name or model
        metrics.set_model(model, version, model_id)
        log = AccessLog(sys.stderr if config.access_log else None)
        app = create_app(
            scoring_model,
            model,
            version,
            config,
            signed_by=", ".join(sorted({opened.signed_by for opened in members})),
            authenticator=access.authenticator,
            log=log,
            metrics=metrics,
            events=events,
            keyed_events=keyed_events,
        )

        def announce() -> None:
            for line in _announcement(access, health.port if health else None):
                print(line)
            print(
                f"{model} version {version}, model id {model_id[:12]}: {samples} "
                f"samples reproduced; serving at {_url(access, listener.getsockname()[1])}",
                flush=True,
            )

        def note_fault(status: int) -> None:
            metrics.requests.labels("none", status).inc()
            log.write(route="none", status=status)

        server = Server(
            app,
            listener,
            connections,
            config,
            tls=access.tls,
            on_start=announce,
            on_fault=note_fault,
        )
        if health is not None:
            health.watch(server)
        # uvicorn raises the signal again after its shutdown: that is a successful end.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _ignore_signal)
        server.run()
        if events is not None:
            events.close()
        print("stopped", flush=True)
        if not app.state.service.engine.is_idle:
            # A thread cannot be stopped, and Python would wait for it; temporary files go first.
            atexit._run_exitfuncs()
            os._exit(0)


def _announcement(access: Access, health_port: int | None) -> list[str]:
    lines = []
    if access.authenticator is None:
        lines.append("no authentication: anyone who reaches the port can use it (--tokens, --jwks)")
    if access.tls is None:
        lines.append("no TLS: images and scores travel unencrypted (--tls-certificate, --tls-key)")
    if health_port is not None:
        lines.append(f"health and metrics at port {health_port}, without authentication or TLS")
    return lines


def _url(access: Access, port: int) -> str:
    host = f"[{access.host}]" if ":" in access.host else access.host
    return f"{'https' if access.tls else 'http'}://{host}:{port}"


def _bind(host: str, port: int, connections: Connections) -> ListeningSocket:
    try:
        return ListeningSocket((host, port), connections)
    except OSError as error:
        raise _port_error(host, port, error) from error


def _port_error(host: str, port: int, error: OSError) -> RecipeError:
    return RecipeError(
        f"The server cannot listen at {host}:{port}",
        expected="a free port at an address of this machine",
        received=error.strerror or type(error).__name__,
    )


def _raise_file_limit(needed: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise RecipeError(
                "There are too few file descriptors for the connections",
                expected=f"at least {needed}",
                received=str(hard),
                hint="Raise the limit (ulimit -n), or lower --max-connections",
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _ignore_signal(_: int, __: FrameType | None) -> None:
    """Let the server end by itself."""
