"""How Kubeflow Pipelines is reached, and its faults in words."""

import contextlib
import io
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from mammo_core.errors import MammoError

#: The configuration file, where MAMMO_KFP_CONFIG names no other.
CONFIG = Path("~/.config/mammo/kfp.yaml")
_ATTEMPTS = 1
_TIMEOUT_S = 20
_ENVIRONMENT = {
    "host": "MAMMO_KFP_HOST",
    "namespace": "MAMMO_KFP_NAMESPACE",
    "token": "MAMMO_KFP_TOKEN",
    "token_file": "MAMMO_KFP_TOKEN_FILE",
    "ca_cert": "MAMMO_KFP_CA_CERT",
    "verify_tls": "MAMMO_KFP_VERIFY_TLS",
}


class ClusterError(MammoError):
    """Kubeflow Pipelines cannot be reached, or refuses."""


class ConnectionSettingsError(ClusterError):
    """What the command line, the environment or the file say of the connection is wrong."""

    exit_code = 2


class KfpSettings(BaseModel):
    """How Kubeflow Pipelines is reached.

    Attributes:
        host: Address of the API, for instance http://localhost:8080 behind a port-forward.
        namespace: Namespace of the runs (a profile of Kubeflow); empty: KFP of one user.
        token: Bearer token.
        token_file: File that holds it, read anew for each command.
        ca_cert: Certificate that the server's is verified with.
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
        """Return the token, from the file where it is given so."""
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
    """Put flags, the environment and the configuration file together, in this order.

    Args:
        given: What the command line says; None where it says nothing.

    Raises:
        ConnectionSettingsError: There is no host, or a value cannot be used.
    """
    path = Path(os.environ.get("MAMMO_KFP_CONFIG") or CONFIG).expanduser()
    values = _from_file(path)
    for key, name in _ENVIRONMENT.items():
        if os.environ.get(name):
            values[key] = os.environ[name]
    for key, value in given.items():
        if value is not None:
            values[key] = value
            # A token of the command line is not overruled by an older file, or the reverse.
            if key in ("token", "token_file"):
                values.pop("token_file" if key == "token" else "token", None)
    if not values.get("host"):
        raise ConnectionSettingsError(
            "No Kubeflow Pipelines is named",
            expected=f"--host, MAMMO_KFP_HOST or `host:` in {path}",
            received="none",
            hint="for instance --host http://localhost:8080 beside "
            "`kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80`; "
            "--local runs here, without a cluster",
        )
    try:
        return KfpSettings.model_validate(values)
    except ValidationError as error:
        fault = error.errors(include_input=False)[0]
        raise ConnectionSettingsError(
            f"The setting {'.'.join(map(str, fault['loc']))} of the connection cannot be used",
            expected=f"one of {', '.join(KfpSettings.model_fields)}, of its type",
            received=str(fault["msg"]),
        ) from None


def _from_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConnectionSettingsError(
            f"The configuration {path} cannot be read",
            expected="YAML",
            received=" ".join(str(error).split()),
        ) from error
    if not isinstance(values, dict):
        raise ConnectionSettingsError(
            f"The configuration {path} cannot be used",
            expected="keys and values: " + ", ".join(KfpSettings.model_fields),
            received=type(values).__name__,
        )
    return values


def connect(settings: KfpSettings) -> Any:
    """Return KFP's own client.

    Raises:
        ClusterError: The server does not answer or does not accept the token.
    """
    import kfp
    import kfp_server_api

    with told_in_words(settings), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Asked before KFP's client asks: that one tries five times and sleeps between.
        asked = kfp_server_api.Configuration(host=settings.host.rstrip("/"))
        asked.verify_ssl = settings.verify_tls
        asked.retries = _ATTEMPTS
        if settings.ca_cert:
            asked.ssl_ca_cert = str(settings.ca_cert.expanduser())
        token = settings.bearer()
        if token:
            asked.api_key["authorization"] = token
            asked.api_key_prefix["authorization"] = "Bearer"
        api = kfp_server_api.HealthzServiceApi(kfp_server_api.ApiClient(asked))
        health = api.healthz_service_get_healthz(_request_timeout=_TIMEOUT_S)
        if health.multi_user and not settings.namespace:
            raise ClusterError(
                f"Kubeflow Pipelines at {settings.host} serves several users",
                expected="the namespace of your profile: --namespace or MAMMO_KFP_NAMESPACE",
                received="none",
            )
        client = kfp.Client(
            host=settings.host,
            namespace=settings.namespace or "kubeflow",
            existing_token=token,
            ssl_ca_cert=asked.ssl_ca_cert,
            verify_ssl=settings.verify_tls,
        )
    return client


@contextmanager
def told_in_words(settings: KfpSettings, what: str = "") -> Iterator[None]:
    """Turn the faults of KFP's client into ClusterErrors; its own prints are kept back.

    Args:
        settings: The connection, for the messages.
        what: What was asked for, for instance "the run abc".
    """
    import kfp_server_api
    import urllib3

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except kfp_server_api.ApiException as error:
        if not error.status:  # TLS: the client wraps what urllib3 says
            raise _unreachable(error, settings) from error
        raise _refused(error, settings, what) from error
    except (urllib3.exceptions.HTTPError, OSError, TimeoutError) as error:
        raise _unreachable(error, settings) from error


def _unreachable(error: BaseException, settings: KfpSettings) -> ClusterError:
    return ClusterError(
        f"Kubeflow Pipelines at {settings.host} cannot be reached",
        expected="an API server that answers",
        received=_reason(error),
        hint="is the port-forward running, the address right, the VPN on?",
    )


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or error
    return f"{type(reason).__name__}: {reason}".replace("\n", " ")[:300]


def _refused(error: Any, settings: KfpSettings, what: str) -> ClusterError:
    told = _server_words(error.body) or str(error.reason)
    if error.status in (401, 403):
        return ClusterError(
            f"Kubeflow Pipelines at {settings.host} does not accept this token",
            expected="a valid bearer token with the right to the namespace "
            f"{settings.namespace or 'of the runs'}",
            received=f"HTTP {error.status}: {told}",
            hint="get a new token: it may have expired (MAMMO_KFP_TOKEN, --token-file)",
        )
    if error.status == 404:
        return ClusterError(
            f"Kubeflow Pipelines at {settings.host} does not know {what or 'what was asked for'}",
            expected="an id or a name that `mammo pipeline list` shows",
            received=f"HTTP 404: {told}",
        )
    return ClusterError(
        f"Kubeflow Pipelines at {settings.host} refused {what or 'the request'}",
        expected="a request that it can serve",
        received=f"HTTP {error.status}: {told}",
    )


def _server_words(body: Any) -> str:
    """What the server says of a fault: its message, without stack frames."""
    if isinstance(body, bytes):
        body = body.decode(errors="replace")
    try:
        values = json.loads(body or "")
    except ValueError:
        return " ".join(str(body or "").split())[:200]
    if not isinstance(values, dict):
        return str(values)[:200]
    return " ".join(str(values.get("message") or values.get("error") or "").split())[:400]
