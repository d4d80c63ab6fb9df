"""Running the service until it is told to stop."""

import signal
import sys
from pathlib import Path
from types import FrameType

from mammo_core.packaging import check_expected, load
from mammo_core.registry import resolve_version
from mammo_core.serving.config import ServeConfig


def serve(
    uri: str,
    *,
    host: str,
    port: int,
    config: ServeConfig,
    name: str = "",
    public_key: Path | None = None,
) -> None:
    """Load a package, check it, and serve it.

    SIGTERM and SIGINT stop it: no new connection is taken, what was begun is finished.

    Args:
        uri: Of the package, as in `packaging.resolve`.
        host: Address to listen at.
        port: Port to listen at.
        config: The limits.
        name: Of the model in paths; default: in its registry, or its own.
        public_key: PEM file of the key it must be signed by.

    Raises:
        ModelError: The package does not verify, or does not reproduce its expected outputs.
        OSError: The port is taken.
    """
    import uvicorn

    from mammo_core.serving.app import create_app

    found = resolve_version(uri)
    package = load(found.folder, public_key)
    checked = check_expected(package)
    model = name or found.name or package.manifest.name
    version = str(found.version) if found.version is not None else package.model_id[:12]
    print(
        f"{model} version {version}, model id {package.model_id[:12]}: {checked.samples} samples "
        f"reproduced; serving at http://{host}:{port}",
        flush=True,
    )
    app = create_app(package, model, version, config)
    settings = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,  # paths of requests are nobody's business
        timeout_graceful_shutdown=config.grace_s,
        timeout_keep_alive=30,
        limit_concurrency=2 * config.max_requests + 16,
        server_header=False,
    )
    # uvicorn raises the signal again once it is done: then this is the end, and a good one.
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, _stop)
    uvicorn.Server(settings).run()


def _stop(_: int, __: FrameType | None) -> None:
    print("stopped", flush=True)
    sys.exit(0)
