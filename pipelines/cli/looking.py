"""`mammo pipeline status`, `wait`, `logs` and `list`."""

import dataclasses
import json
import sys
from typing import Annotated, Any

import typer

from pipelines.cli import options

RunId = Annotated[str, typer.Argument(help="Id that KFP gave the run.")]


def status(
    run_id: RunId,
    as_json: options.Json = False,
    host: options.Host = None,
    namespace: options.Namespace = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    ca_cert: options.CaCert = None,
    verify_tls: options.VerifyTls = None,
) -> None:
    """Show the state of a run and its tasks."""
    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    state = client.get(run_id)
    if as_json:
        print(json.dumps(dataclasses.asdict(state), indent=1))
        return
    _print(state)


def wait(
    run_id: RunId,
    timeout: Annotated[float, typer.Option(min=1, help="Longest wait in seconds.")] = 86400.0,
    host: options.Host = None,
    namespace: options.Namespace = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    ca_cert: options.CaCert = None,
    verify_tls: options.VerifyTls = None,
) -> None:
    """Follow a run to its end: exit code 0 if it succeeded, else 1."""
    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    follow(client, run_id, timeout)


def logs(
    run_id: RunId,
    step: Annotated[
        str, typer.Option(help="Name of one task in the graph; default: the failed tasks.")
    ] = "",
    store: Annotated[
        str, typer.Option(envvar="MAMMO_STORE", help="URI of the store with the record of the run.")
    ] = "",
    record_id: Annotated[
        str, typer.Option(help="Id of the run in the store; default: the id of KFP.")
    ] = "",
    host: options.Host = None,
    namespace: options.Namespace = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    ca_cert: options.CaCert = None,
    verify_tls: options.VerifyTls = None,
) -> None:
    """Show the record of a run in the store, and the logs of its pods."""
    from pipelines.logs import from_pods, from_record

    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    state = client.get(run_id)
    print(f"run {state.name}: {state.state}{f': {state.error}' if state.error else ''}")
    if store:
        for line in from_record(store, record_id or run_id):
            print(line)
    for line in from_pods(state, client.namespace or "kubeflow", step):
        print(line)


def list_(
    pipelines: Annotated[
        bool, typer.Option("--pipelines", help="List uploaded pipelines instead of runs.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Largest number of runs.")] = 20,
    experiment: Annotated[str | None, typer.Option(help="Only runs of this experiment.")] = None,
    as_json: options.Json = False,
    host: options.Host = None,
    namespace: options.Namespace = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    ca_cert: options.CaCert = None,
    verify_tls: options.VerifyTls = None,
) -> None:
    """List the latest runs, or the uploaded pipelines."""
    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    if pipelines:
        rows = [list(row) for row in client.pipelines()]
        header = ["pipeline", "id", "latest version"]
    else:
        runs = client.runs(limit, experiment)
        rows = [[run.name, run.state, run.created, run.run_id] for run in runs]
        header = ["run", "state", "created", "id"]
    if as_json:
        print(json.dumps([dict(zip(header, row, strict=True)) for row in rows], indent=1))
        return
    table(header, rows)


def follow(client: Any, run_id: str, timeout: float) -> None:
    """Show the tasks of a run as their states change, until the run ends.

    Raises:
        ClusterError: The run failed, was terminated, or did not finish in time.
    """
    from pipelines.connection import ClusterError
    from pipelines.run_state import failed_tasks

    if sys.stdout.isatty():
        from rich.live import Live

        with Live(refresh_per_second=4) as live:
            final = client.wait(run_id, timeout, lambda state: live.update(_rich_table(state)))
    else:
        final = client.wait(run_id, timeout, _Changes())
    print(f"run {final.name}: {final.state}")
    if final.state in ("SUCCEEDED", "SKIPPED"):
        return
    failed = failed_tasks(final)
    names = ", ".join(task.name for task in failed) or "no task is named"
    message = next((task.error for task in failed if task.error), final.error)
    raise ClusterError(
        f"The run {final.name} ended as {final.state} ({names})",
        expected="SUCCEEDED",
        received=message or "no message from KFP",
        hint=f"`mammo pipeline logs {run_id}` shows the logs of the steps",
    )


class _Changes:
    """Prints a line for each task whose state changed: where the output is not a terminal."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}

    def __call__(self, state: Any) -> None:
        for number, task in enumerate(state.tasks):
            key = f"{number} {task.name}"
            if self._states.get(key) != task.state:
                self._states[key] = task.state
                duration = f" ({task.seconds:.0f} s)" if task.seconds is not None else ""
                print(f"[{task.name}] {task.state}{duration}", flush=True)


def _print(state: Any) -> None:
    from rich.console import Console

    Console().print(_rich_table(state))
    if state.error:
        print(state.error)


def _rich_table(state: Any) -> Any:
    from rich.table import Table

    rows = Table("task", "state", "seconds", title=f"{state.name}: {state.state}")
    for task in state.tasks:
        duration = f"{task.seconds:.0f}" if task.seconds is not None else ""
        rows.add_row(task.name, task.state, duration)
    return rows


def table(header: list[str], rows: list[list[str]]) -> None:
    """Print rows under a header."""
    from rich.console import Console
    from rich.table import Table

    printed = Table(*header)
    for row in rows:
        printed.add_row(*row)
    Console().print(printed)
