"""The part of MLflow's REST API that runs are reported with.

MLflow's own client fits neither Beam's nor our other pins. Addresses, credentials and the header of
workspaces are those of its client and of the plugin in Kubeflow Pipelines 2.17
(backend/src/common/plugins/mlflow). Source: https://mlflow.org/docs/latest/rest-api.html.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import requests

#: Seconds for a connection and for an answer: a server that is away must not hold up the work.
_TIMEOUT: Final = (3, 10)
#: MLflow's limits of one request, and of a text.
_METRICS, _PARAMETERS, _TAGS, _CHARACTERS = 1000, 100, 100, 6000
#: Where a pod has the token of its service account.
_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class MlflowError(Exception):
    """An MLflow server refused a request; its code is the text."""


class MlflowClient:
    """Talks to one MLflow server.

    Args:
        address: Its address.
    """

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")
        self._session = requests.Session()
        user = os.environ.get("MLFLOW_TRACKING_USERNAME")
        if token := _token():
            self._session.headers["Authorization"] = f"Bearer {token}"
        elif user:
            self._session.auth = (user, os.environ.get("MLFLOW_TRACKING_PASSWORD", ""))
        if workspace := os.environ.get("MLFLOW_WORKSPACE"):
            self._session.headers["X-MLflow-Workspace"] = workspace
        if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS") == "true":
            self._session.verify = False
        elif bundle := os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH"):
            self._session.verify = bundle

    def experiment(self, name: str) -> str:
        """Return the id of an experiment; it is made if there is none."""
        answer = self._get("experiments/get-by-name", {"experiment_name": name})
        if not answer:
            try:
                return str(self._post("experiments/create", {"name": name})["experiment_id"])
            except MlflowError:  # another process was faster
                answer = self._get("experiments/get-by-name", {"experiment_name": name})
        return str(answer["experiment"]["experiment_id"])

    def create_run(
        self, experiment: str, name: str, tags: Mapping[str, str], started: float
    ) -> str:
        """Create a run and return its id."""
        body = {
            "experiment_id": experiment,
            "run_name": name,
            "start_time": int(started * 1000),
            "tags": _pairs(tags),
        }
        return str(self._post("runs/create", body)["run"]["info"]["run_id"])

    def search_runs(self, experiment: str, tags: Mapping[str, str]) -> list[str]:
        """Return the ids of the runs with these tags, the newest first."""
        # A value cannot be escaped, but quoted in two ways.
        quotes = {name: '"' if "'" in value else "'" for name, value in tags.items()}
        filter = " and ".join(
            f"tags.`{name}` = {quotes[name]}{value}{quotes[name]}" for name, value in tags.items()
        )
        body = {"experiment_ids": [experiment], "filter": filter, "max_results": 100}
        runs = self._post("runs/search", body).get("runs", [])
        return [str(run["info"]["run_id"]) for run in runs]

    def end_run(self, run: str, status: str, ended: float) -> None:
        """Set the status of a run: FINISHED, FAILED or KILLED."""
        body = {"run_id": run, "status": status, "end_time": int(ended * 1000)}
        self._post("runs/update", body)

    def log(
        self,
        run: str,
        *,
        parameters: Mapping[str, str] | None = None,
        metrics: Iterable[tuple[str, float, int]] = (),
        tags: Mapping[str, str] | None = None,
        time: float = 0,
    ) -> None:
        """Log to a run.

        Args:
            run: Its id.
            parameters: Name → value; a parameter that has a value keeps it.
            metrics: (name, value, epoch or 0) of each.
            tags: Name → value.
            time: When the metrics were measured (seconds since 1970).
        """
        moment = int(time * 1000)
        values = [
            {"key": key, "value": value, "timestamp": moment, "step": step}
            for key, value, step in metrics
        ]
        named = _pairs(parameters or {})
        for start in range(0, len(named), _PARAMETERS):
            self._log(run, params=named[start : start + _PARAMETERS])
        for start in range(0, len(values), _METRICS):
            self._log(run, metrics=values[start : start + _METRICS])
        marks = _pairs(tags or {})
        for start in range(0, len(marks), _TAGS):
            self._log(run, tags=marks[start : start + _TAGS])

    def register_version(self, name: str, source: str, run: str, tags: Mapping[str, str]) -> None:
        """Register a version of a model, once for each source."""
        try:
            self._post("registered-models/create", {"name": name})
        except MlflowError as error:
            if str(error) != "RESOURCE_ALREADY_EXISTS":
                raise
        known = self._get("model-versions/search", {"filter": f"name='{name}'"})
        if any(one.get("source") == source for one in known.get("model_versions", [])):
            return
        body = {"name": name, "source": source, "run_id": run, "tags": _pairs(tags)}
        self._post("model-versions/create", body)

    def _log(self, run: str, **batch: Any) -> None:
        try:
            self._post("runs/log-batch", {"run_id": run, **batch})
        except MlflowError as error:
            # A parameter of an earlier attempt with another value stays as it is.
            if "params" not in batch or str(error) != "INVALID_PARAMETER_VALUE":
                raise

    def _get(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        answer = self._session.get(self._url(path), params=query, timeout=_TIMEOUT)
        return {} if answer.status_code == 404 else _read(answer)

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return _read(self._session.post(self._url(path), json=body, timeout=_TIMEOUT))

    def _url(self, path: str) -> str:
        return f"{self._address}/api/2.0/mlflow/{path}"


def _token() -> str:
    if os.environ.get("MLFLOW_TRACKING_AUTH", "").startswith("kubernetes"):
        path = _ACCOUNT / "token"
        return path.read_text().strip() if path.is_file() else ""
    return os.environ.get("MLFLOW_TRACKING_TOKEN", "")


def _read(answer: requests.Response) -> dict[str, Any]:
    if answer.ok:
        read: dict[str, Any] = answer.json()
        return read
    try:
        code = str(answer.json().get("error_code", ""))
    except ValueError:
        code = ""
    raise MlflowError(code or f"HTTP {answer.status_code}")


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key[:250], "value": value[:_CHARACTERS]} for key, value in values.items()]
