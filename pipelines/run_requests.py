"""What the client asks Kubeflow Pipelines (KFP) about runs: their state, logs and end."""

import json
import time
from collections.abc import Callable
from typing import Any

from pipelines.cluster.kubernetes import DEFAULT_NAMESPACE
from pipelines.cluster.run_state import RunState, run_state_of
from pipelines.connection import ClusterError, KfpSettings, kfp_errors

_PAGE = 100
#: Where the log of a pod, or its archived log, is: KFP's API server and its UI each have one way.
_LOGS = (
    "/apis/v1alpha1/runs/{run}/nodes/{pod}/log",
    "/k8s/pod/logs?podname={pod}&podnamespace={namespace}&createdat={day}",
)
_LOG_TIMEOUT_S = 30


class RunRequests:
    """The requests about runs.

    Args:
        settings: The connection.
        client: The client of the KFP SDK.
    """

    def __init__(self, settings: KfpSettings, client: Any) -> None:
        self.settings = settings
        self._client = client

    @property
    def namespace(self) -> str | None:
        """Namespace for multi-user KFP; None for single-user KFP."""
        return self.settings.namespace or None

    def experiment(self, name: str) -> str:
        """Return the id of an experiment; create the experiment if there is none."""
        with kfp_errors(self.settings, f"the experiment {name}"):
            created = self._client.create_experiment(name=name, namespace=self.namespace)
        return str(created.experiment_id)

    def run_of(self, run_id: str) -> Any:
        """Return a run as KFP reports it.

        Raises:
            ClusterError: There is no such run.
        """
        with kfp_errors(self.settings, f"the run {run_id}"):
            return self._client.get_run(run_id)

    def get(self, run_id: str) -> RunState:
        """Return the state of a run as KFP reports it, without its tasks.

        Raises:
            ClusterError: There is no such run.
        """
        return run_state_of(self.run_of(run_id))

    def spec_of(self, run: Any) -> dict[str, Any]:
        """Return the specification of a run's pipeline; empty where it was deleted since."""
        if isinstance(run.pipeline_spec, dict) and run.pipeline_spec:
            return dict(run.pipeline_spec)
        reference = run.pipeline_version_reference
        if reference is None or not reference.pipeline_version_id:
            return {}
        try:
            return self._version_spec(reference.pipeline_id, reference.pipeline_version_id)
        except ClusterError:
            return {}

    def _version_spec(self, pipeline_id: str, version_id: str) -> dict[str, Any]:
        with kfp_errors(self.settings, "the version"):
            response = self._client.get_pipeline_version(pipeline_id, version_id)
        return dict(response.pipeline_spec or {})

    def terminate(self, run_id: str) -> None:
        """Terminate a run.

        Raises:
            ClusterError: There is no such run, or it has ended.
        """
        with kfp_errors(self.settings, f"to terminate the run {run_id}"):
            self._client.terminate_run(run_id)

    def retry(self, run_id: str) -> None:
        """Run the failed tasks of a run again, in the same run.

        Raises:
            ClusterError: There is no such run, or it has not failed.
        """
        with kfp_errors(self.settings, f"to retry the run {run_id}"):
            self._client._run_api.run_service_retry_run(run_id=run_id)

    def archive(self, run_id: str, archived: bool = True) -> None:
        """Archive a run, or bring it back from the archive.

        Raises:
            ClusterError: There is no such run.
        """
        with kfp_errors(self.settings, f"the run {run_id}"):
            change = self._client.archive_run if archived else self._client.unarchive_run
            change(run_id)

    def log(self, run_id: str, pod: str, namespace: str, day: str) -> str | None:
        """Return the log of a step through KFP, also an archived one; None where it has none.

        Args:
            run_id: The run.
            pod: Name of the pod.
            namespace: Namespace of the pod; empty: that of the runs.
            day: Day of the run, ISO 8601.
        """
        import kfp_server_api
        import urllib3

        namespace = namespace or self.settings.namespace or DEFAULT_NAMESPACE
        api = self._client._run_api.api_client
        for path in _LOGS:
            path = path.format(run=run_id, pod=pod, namespace=namespace, day=day)
            try:
                answer = api.call_api(
                    path,
                    "GET",
                    header_params={"Accept": "text/plain"},
                    auth_settings=["Bearer"],
                    response_type="str",
                    _return_http_data_only=True,
                    _preload_content=False,
                    _request_timeout=_LOG_TIMEOUT_S,
                )
            except (kfp_server_api.ApiException, urllib3.exceptions.HTTPError, OSError):
                continue
            text = answer.data.decode(errors="replace")
            # The UI answers with its page where it does not know a path.
            if text and not text.lstrip().startswith("<!"):
                return str(text)
        return None

    def runs(
        self, limit: int, experiment: str | None = None, archived: bool = False
    ) -> list[RunState]:
        """Return the latest runs, newest first.

        Args:
            limit: Largest number of runs.
            experiment: Only runs of this experiment.
            archived: Whether the archived runs are returned, too.
        """
        experiment_id = self.experiment(experiment) if experiment else None
        unarchived = _predicate("storage_state", "ARCHIVED", "NOT_EQUALS")
        with kfp_errors(self.settings, "the runs"):
            response = self._client.list_runs(
                page_size=limit,
                sort_by="created_at desc",
                experiment_id=experiment_id,
                namespace=self.namespace,
                filter=None if archived else unarchived,
            )
        return [run_state_of(run) for run in response.runs or []]

    def runs_of_schedule(self, recurring_run_id: str) -> list[RunState]:
        """Return the latest runs that a recurring run started, newest first."""
        predicate = _predicate("recurring_run_id", recurring_run_id)
        with kfp_errors(self.settings, "the runs of a schedule"):
            response = self._client.list_runs(
                page_size=_PAGE,
                sort_by="created_at desc",
                namespace=self.namespace,
                filter=predicate,
            )
        return [run_state_of(run) for run in response.runs or []]

    def wait(
        self,
        run_id: str,
        timeout_s: float,
        on_state: Callable[[RunState], None],
        interval_s: float = 5.0,
        look: Callable[[str], RunState] | None = None,
    ) -> RunState:
        """Poll a run until it has finished.

        Args:
            run_id: The run.
            timeout_s: Longest time to wait (seconds).
            on_state: Called with each state.
            interval_s: Time between two requests (seconds).
            look: Returns the state of a run; None: as KFP alone reports it.

        Raises:
            ClusterError: The run has not finished in time.
        """
        look = look or self.get
        deadline = time.monotonic() + timeout_s
        while True:
            state = look(run_id)
            on_state(state)
            if state.final:
                return state
            now = time.monotonic()
            if now >= deadline:
                raise ClusterError(
                    f"The run {run_id} has not finished",
                    expected=f"the run to finish within {timeout_s:.0f} s (--timeout)",
                    received=f"state {state.state}",
                    hint=f"it is still running; `mammo pipeline wait {run_id}` waits again",
                )
            time.sleep(min(interval_s, max(0.1, deadline - now)))

    def link(self, run_id: str) -> str:
        """Return the address of a run in the UI."""
        return f"{self.settings.host.rstrip('/')}/#/runs/details/{run_id}"


def named(name: str) -> str:
    """Return KFP's filter for the objects of a name."""
    return _predicate("display_name", name)


def _predicate(key: str, value: str, operation: str = "EQUALS") -> str:
    predicate = {"operation": operation, "key": key, "stringValue": value}
    return json.dumps({"predicates": [predicate]})
