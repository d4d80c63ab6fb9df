"""Running the service until a signal stops it."""

import signal
import sys
from pathlib import Path
from types import FrameType

from mammo_core.packaging import load, require_expected_outputs
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

    SIGTERM and SIGINT stop the server: it accepts no new connections and completes its requests.

    Args:
        uri: URI of the package, as in `registry.resolve`.
        host: Address to listen at.
        port: Port to listen at.
        config: The limits.
        name: Name of the model in paths; by default its name in the registry or in the package.
        public_key: PEM file of the key that must have signed the package.

    Raises:
        ModelError: The package does not verify, or does not reproduce its expected outputs.
        OSError: The port is in use.
    """
    import uvicorn

    from mammo_core.serving.app import create_app

    resolved = resolve_version(uri)
    package = load(resolved.folder, public_key)
    check = require_expected_outputs(package)
    model = name or resolved.name or package.manifest.name
    version = str(resolved.version) if resolved.version is not None else package.model_id[:12]
    print(
        f"{model} version {version}, model id {package.model_id[:12]}: {check.samples} samples "
        f"reproduced; serving at http://{host}:{port}",
        flush=True,
    )
    app = create_app(package, model, version, config)
    settings = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,  # paths of requests are private
        timeout_graceful_shutdown=config.grace_s,
        timeout_keep_alive=30,
        limit_concurrency=2 * config.max_requests + 16,
        server_header=False,
    )
    # uvicorn raises the signal again after its shutdown: that is a successful end.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    uvicorn.Server(settings).run()


def _exit(_: int, __: FrameType | None) -> None:
    print("stopped", flush=True)
    sys.exit(0)
