"""`mammo pipeline status`, `wait`, `logs` and `list`."""

import dataclasses
import json
import sys
from typing import Annotated, Any

import typer

from pipelines.cli import options

RunId = Annotated[str, typer.Argument(help="Id that KFP gave the run.")]
Store = Annotated[
    str,
    typer.Option(
        envvar="MAMMO_STORE",
        help="URI of the store with the record of the run; default: that of the run, where "
        "MAMMO_S3_ENDPOINT is set.",
    ),
]
RecordId = Annotated[
    str, typer.Option(help="Id of the run in the store; default: as the run was started.")
]


def status(
    run_id: RunId,
    as_json: options.Json = False,
    store: Store = "",
    record_id: RecordId = "",
    host: options.Host = None,
    namespace: options.Namespace = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    ca_cert: options.CaCert = None,
    verify_tls: options.VerifyTls = None,
) -> None:
    """Show the state of a run: a line for each task of the graph, and what is wrong with it."""
    from pipelines.cluster.table import status_lines
    from pipelines.cluster.watch import Watcher

    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    watcher = Watcher(client, store, record_id)
    state = watcher.look(run_id)
    if as_json:
        print(json.dumps(dataclasses.asdict(state), indent=1))
        return
    for line in status_lines(state):
        print(line)
    if watcher.kubernetes.problem and not state.final:
        print(f"why a pod waits is not known: {watcher.kubernetes.problem}")


def wait(
    run_id: RunId,
    timeout: Annotated[float, typer.Option(min=1, help="Longest wait in seconds.")] = 86400.0,
    store: Store = "",
    record_id: RecordId = "",
    host: options.Host = None,
    namespace: options.Namespace = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    ca_cert: options.CaCert = None,
    verify_tls: options.VerifyTls = None,
) -> None:
    """Follow a run to its end, each change once: exit code 0 if it succeeded, else 1."""
    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    follow(client, run_id, timeout, store, record_id)


def logs(
    run_id: RunId,
    step: Annotated[
        str,
        typer.Option(
            help="Name of a task in the graph, also with its partition or network; default: the "
            "tasks that failed or cannot start."
        ),
    ] = "",
    launcher: Annotated[
        bool, typer.Option("--launcher", help="Show the lines of KFP's launcher, too.")
    ] = False,
    store: Store = "",
    record_id: RecordId = "",
    host: options.Host = None,
    namespace: options.Namespace = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    ca_cert: options.CaCert = None,
    verify_tls: options.VerifyTls = None,
) -> None:
    """Show the errors of a run, its record in the store, and the logs of its steps."""
    from pipelines.cluster.logs import log_lines
    from pipelines.cluster.watch import Watcher

    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    watcher = Watcher(client, store, record_id)
    for line in log_lines(watcher, watcher.look(run_id), step, launcher):
        print(line)


def list_(
    pipelines: Annotated[
        bool, typer.Option("--pipelines", help="List uploaded pipelines instead of runs.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Largest number of runs.")] = 20,
    experiment: Annotated[str | None, typer.Option(help="Only runs of this experiment.")] = None,
    archived: Annotated[bool, typer.Option("--archived", help="List archived runs, too.")] = False,
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
        runs = client.runs(limit, experiment, archived)
        rows = [[run.name, run.state, run.created, run.run_id] for run in runs]
        header = ["run", "state", "created", "id"]
    print_table(header, rows, as_json)


def print_table(header: list[str], rows: list[list[str]], as_json: bool) -> None:
    """Print rows under a header, or as one JSON list of objects; nothing is cut."""
    from pipelines.cluster.table import columns

    if as_json:
        print(json.dumps([dict(zip(header, row, strict=True)) for row in rows], indent=1))
        return
    for line in columns(header, rows):
        print(line)


def follow(client: Any, run_id: str, timeout: float, store: str = "", record_id: str = "") -> None:
    """Show the tasks of a run as their states change, until the run ends.

    Raises:
        StepFailedError: A step failed; this is its error.
        ClusterError: The run failed otherwise, was terminated or lost, or did not finish in time.
    """
    from pipelines.cluster.table import Changes, status_lines
    from pipelines.cluster.watch import Watcher, failure_of

    watcher = Watcher(client, store, record_id)
    if sys.stdout.isatty():
        from rich.live import Live
        from rich.text import Text

        with Live(refresh_per_second=4) as live:
            final = client.wait(
                run_id,
                timeout,
                lambda state: live.update(Text("\n".join(status_lines(state)))),
                look=watcher.look,
            )
    else:
        changes = Changes()

        def print_changes(state: Any) -> None:
            for line in changes.of(state):
                print(line, flush=True)

        final = client.wait(run_id, timeout, print_changes, look=watcher.look)
    print(f"run {final.name}: {final.state}")
    if final.state not in ("SUCCEEDED", "SKIPPED"):
        print(f"`mammo pipeline logs {run_id}` shows the logs of its steps", flush=True)
        raise failure_of(watcher, final)
