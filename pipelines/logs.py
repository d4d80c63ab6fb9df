"""Logs of a run: the record of its steps, and the logs of its pods if they can be read."""

from typing import Any

from mammo_core.runs import Run
from mammo_core.store import open_store
from pipelines.run_state import RunState

_TAIL = 200


def from_record(store: str, run_id: str) -> list[str]:
    """Return a line for each step of a run, from its record in the store.

    Args:
        store: URI of the store.
        run_id: Id of the run in the store: the parameter `run_id`, or the id of KFP.
    """
    lines = []
    for name, status in Run(open_store(store), run_id).statuses().items():
        error = f": {status['error']}" if status.get("error") else ""
        lines.append(f"{name}: {status['state']} after {status['seconds']:.0f} s{error}")
    return lines


def from_pods(state: RunState, namespace: str, step: str = "") -> list[str]:
    """Return the logs of the pods of a run, or the command that shows those that cannot be read.

    Args:
        state: The run.
        namespace: Namespace of its pods.
        step: Name of one task; empty: the failed tasks, or all tasks if none failed.
    """
    tasks = [task for task in state.tasks if task.pods]
    if step:
        selected = [task for task in tasks if task.name == step]
    else:
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
            f"no pods are listed: kubectl logs -n {namespace} -l {selector} -c main --tail={_TAIL}"
        )
    return lines


def _kubernetes() -> Any:
    """Return a client of the Kubernetes API, or None without a kubeconfig."""
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
        return [f"no kubeconfig: {command}"]
    try:
        text = core.read_namespaced_pod_log(
            pod, namespace, container="main", tail_lines=_TAIL, _request_timeout=20
        )
    except (ApiException, HTTPError, OSError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        return [f"cannot be read ({reason}): {command}"]
    return str(text).splitlines()
