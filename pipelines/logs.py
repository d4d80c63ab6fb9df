"""Logs of a run: the record of its steps, and the logs of its pods where they are readable."""

from typing import Any

from mammo_core.errors import MammoError
from mammo_core.runs import Run
from mammo_core.store import open_store
from pipelines.run_state import RunState

_TAIL = 200


def from_record(store: str, run_id: str) -> list[str]:
    """Return a line for each step of a run, from its record in the store.

    Args:
        store: URI of the store.
        run_id: The run's id in the store: the parameter `run_id`, or KFP's id.
    """
    lines = []
    for name, status in Run(open_store(store), run_id).statuses().items():
        error = f": {status['error']}" if status.get("error") else ""
        lines.append(f"{name}: {status['state']} after {status['seconds']:.0f} s{error}")
    return lines


def from_pods(state: RunState, namespace: str, step: str = "") -> list[str]:
    """Return what the pods of a run printed, or how to see it where they cannot be read.

    Args:
        state: The run.
        namespace: Where its pods are.
        step: Only this task; empty: those that failed, or all where none did.
    """
    tasks = [task for task in state.tasks if task.pods]
    selected = [task for task in tasks if task.name == step] if step else []
    if not step:
        selected = [task for task in tasks if task.state == "FAILED"] or tasks
    core = _kubernetes()
    lines = []
    for task in selected:
        for pod in task.pods:
            lines.append(f"== {task.name} ({task.state}), pod {pod}")
            lines += _pod_lines(core, pod, namespace)
    if not lines:
        selector = f"pipeline/runid={state.run_id}"
        lines.append(
            f"no pod is known; kubectl logs -n {namespace} -l {selector} -c main --tail={_TAIL}"
        )
    return lines


def _kubernetes() -> Any:
    from kubernetes import client, config

    try:
        config.load_config()
    except (config.ConfigException, OSError):
        return None
    return client.CoreV1Api()


def _pod_lines(core: Any, pod: str, namespace: str) -> list[str]:
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    command = f"kubectl logs -n {namespace} {pod} -c main"
    if core is None:
        return [f"no kubeconfig here: {command}"]
    try:
        text = core.read_namespaced_pod_log(
            pod, namespace, container="main", tail_lines=_TAIL, _request_timeout=20
        )
    except (ApiException, HTTPError, OSError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        return [f"cannot be read ({reason}): {command}"]
    return str(text).splitlines()


def own_run_id(parameters: dict[str, Any], kfp_id: str) -> str:
    """Return the id under which a run stands in the store."""
    return str(parameters.get("run_id") or kfp_id)


def summary_of(store: str, run_id: str) -> dict[str, Any] | None:
    """Return a run's summary from the store, or None where there is none to be read."""
    try:
        return Run(open_store(store), run_id).summary() or None
    except MammoError:
        return None
