"""The connection to Kubeflow Pipelines (KFP), and its errors."""

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from mammo_core.documents import MAXIMUM_YAML_BYTES, parse_json, parse_yaml, read_bounded
from mammo_core.errors import MammoError
from mammo_core.store.certificates import CA_BUNDLE, require_certificates

#: The configuration file, unless MAMMO_KFP_CONFIG names another.
CONFIG = Path("~/.config/mammo/kfp.yaml")
_ATTEMPTS = 1
_TIMEOUT_S = 20
_ENVIRONMENT = {
    "host": "MAMMO_KFP_HOST",
    "namespace": "MAMMO_KFP_NAMESPACE",
    "token": "MAMMO_KFP_TOKEN",
    "token_file": "MAMMO_KFP_TOKEN_FILE",
    "ca_cert": CA_BUNDLE,
    "verify_tls": "MAMMO_KFP_VERIFY_TLS",
}


class ClusterError(MammoError):
    """Kubeflow Pipelines cannot be reached, or refuses a request."""


class ConnectionSettingsError(ClusterError):
    """The connection settings of the command line, environment or file are not valid."""

    exit_code = 2


class KfpSettings(BaseModel):
    """How to connect to Kubeflow Pipelines.

    Attributes:
        host: Address of the API, for instance http://localhost:8080 behind a port-forward.
        namespace: Namespace of the runs (a Kubeflow profile); empty for single-user KFP.
        token: Bearer token.
        token_file: File that holds the bearer token, read for each command.
        ca_cert: PEM file of the authorities to verify the server with (MAMMO_CA_BUNDLE).
        verify_tls: Whether the server's certificate is verified.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(min_length=1)
    namespace: str = ""
    token: SecretStr | None = None
    token_file: Path | None = None
    ca_cert: Path | None = None
    verify_tls: bool = True

    def bearer(self) -> str | None:
        """Return the bearer token, read from the file if one is set."""
        if self.token is not None:
            return self.token.get_secret_value()
        if self.token_file is None:
            return None
        try:
            return self.token_file.expanduser().read_text().strip()
        except OSError as error:
            raise ClusterError(
                "The token cannot be read",
                expected="a file with the bearer token of Kubeflow Pipelines",
                received=f"{self.token_file}: {error.strerror}",
            ) from error


def settings_from(given: dict[str, Any]) -> KfpSettings:
    """Combine command-line options, environment and configuration file; the first one wins.

    Args:
        given: Options of the command line; None for options that were not given.

    Raises:
        ConnectionSettingsError: There is no host, or a value is not valid.
    """
    path = Path(os.environ.get("MAMMO_KFP_CONFIG") or CONFIG).expanduser()
    values = _from_file(path)
    for key, name in _ENVIRONMENT.items():
        if os.environ.get(name):
            values[key] = os.environ[name]
    for key, value in given.items():
        if value is not None:
            values[key] = value
            # A token on the command line replaces a configured token file, and vice versa.
            if key in ("token", "token_file"):
                values.pop("token_file" if key == "token" else "token", None)
    if not values.get("host"):
        raise ConnectionSettingsError(
            "The host of Kubeflow Pipelines is missing",
            expected=f"--host, MAMMO_KFP_HOST or `host:` in {path}",
            received="none",
            hint="for instance --host http://localhost:8080 beside "
            "`kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80`; "
            "--local runs on this machine, without a cluster",
        )
    try:
        return KfpSettings.model_validate(values)
    except ValidationError as error:
        fault = error.errors(include_input=False)[0]
        raise ConnectionSettingsError(
            f"The setting {'.'.join(map(str, fault['loc']))} of the connection is not valid",
            expected=f"one of {', '.join(KfpSettings.model_fields)}, of its type",
            received=str(fault["msg"]),
        ) from None


def _from_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values = parse_yaml(read_bounded(path, MAXIMUM_YAML_BYTES).decode())
    except (OSError, ValueError) as error:
        raise ConnectionSettingsError(
            f"The configuration {path} cannot be read",
            expected="YAML",
            received=" ".join(str(error).split()),
        ) from error
    if not isinstance(values, dict):
        raise ConnectionSettingsError(
            f"The configuration {path} is not valid",
            expected="keys and values: " + ", ".join(KfpSettings.model_fields),
            received=type(values).__name__,
        )
    return values


def connect(settings: KfpSettings) -> Any:
    """Return the client of the KFP SDK.

    Raises:
        ClusterError: The server does not answer or does not accept the token.
    """
    import kfp
    import kfp_server_api

    with kfp_errors(settings), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Check first: the SDK's client tries five times with pauses before it gives up.
        configuration = kfp_server_api.Configuration(host=settings.host.rstrip("/"))
        configuration.verify_ssl = settings.verify_tls
        configuration.retries = _ATTEMPTS
        if settings.ca_cert:
            configuration.ssl_ca_cert = str(settings.ca_cert.expanduser())
            require_certificates(configuration.ssl_ca_cert, f"ca_cert or {CA_BUNDLE}")
        token = settings.bearer()
        if token:
            configuration.api_key["authorization"] = token
            configuration.api_key_prefix["authorization"] = "Bearer"
        api = kfp_server_api.HealthzServiceApi(kfp_server_api.ApiClient(configuration))
        health = api.healthz_service_get_healthz(_request_timeout=_TIMEOUT_S)
        if health.multi_user and not settings.namespace:
            raise ClusterError(
                f"Kubeflow Pipelines at {settings.host} is multi-user",
                expected="the namespace of your profile: --namespace or MAMMO_KFP_NAMESPACE",
                received="none",
            )
        client = kfp.Client(
            host=settings.host,
            namespace=settings.namespace or "kubeflow",
            existing_token=token,
            ssl_ca_cert=configuration.ssl_ca_cert,
            verify_ssl=settings.verify_tls,
        )
    return client


@contextmanager
def kfp_errors(settings: KfpSettings, what: str = "") -> Iterator[None]:
    """Turn errors of the SDK's client into ClusterErrors, and suppress what it prints.

    Args:
        settings: The connection, for the messages.
        what: The requested object, for instance "the run abc".
    """
    import kfp_server_api
    import urllib3

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except kfp_server_api.ApiException as error:
        if not error.status:  # TLS: the client wraps the error of urllib3
            raise _unreachable_error(error, settings) from error
        raise _refused_error(error, settings, what) from error
    except (urllib3.exceptions.HTTPError, OSError, TimeoutError) as error:
        raise _unreachable_error(error, settings) from error


def _unreachable_error(error: BaseException, settings: KfpSettings) -> ClusterError:
    return ClusterError(
        f"Kubeflow Pipelines at {settings.host} cannot be reached",
        expected="an API server that answers",
        received=_reason(error),
        hint="is the port-forward running, the address right, the VPN on?",
    )


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or error
    return f"{type(reason).__name__}: {reason}".replace("\n", " ")[:300]


def _refused_error(error: Any, settings: KfpSettings, what: str) -> ClusterError:
    message = _server_message(error.body) or str(error.reason)
    if error.status in (401, 403):
        return ClusterError(
            f"Kubeflow Pipelines at {settings.host} does not accept this token",
            expected="a valid bearer token with the right to the namespace "
            f"{settings.namespace or 'of the runs'}",
            received=f"HTTP {error.status}: {message}",
            hint="get a new token: it may have expired (MAMMO_KFP_TOKEN, --token-file)",
        )
    if error.status == 404:
        return ClusterError(
            f"Kubeflow Pipelines at {settings.host} does not have {what or 'the requested object'}",
            expected="an id or a name that `mammo pipeline list` shows",
            received=f"HTTP 404: {message}",
        )
    return ClusterError(
        f"Kubeflow Pipelines at {settings.host} refused {what or 'the request'}",
        expected="a request that it can serve",
        received=f"HTTP {error.status}: {message}",
    )


def _server_message(body: Any) -> str:
    """Return the error message of a response, without stack frames."""
    if isinstance(body, bytes):
        body = body.decode(errors="replace")
    try:
        values = parse_json(body or "")
    except ValueError:
        return " ".join(str(body or "").split())[:200]
    if not isinstance(values, dict):
        return str(values)[:200]
    # Uploads answer in another form than the rest.
    texts = (values.get(key) for key in ("message", "error", "error_message"))
    return " ".join(str(next(filter(None, texts), "")).split())[:400]
