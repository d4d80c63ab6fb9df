"""`mammo pipeline schedule …`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import options
from pipelines.cli.looking import print_table

if TYPE_CHECKING:
    from pipelines.client import KfpClient
    from pipelines.cluster.run_state import RunState
    from pipelines.cluster.watch import Watcher
    from pipelines.schedule import OnActive, Schedules

app = typer.Typer(no_args_is_help=True)
_FOLDER = Path("manifests/recurring")
Name = Annotated[str, typer.Argument(help="Name of the recurring run.")]
Wait = Annotated[
    bool, typer.Option("--wait", help="Wait for runs of the schedule that are in progress.")
]
Terminate = Annotated[
    bool,
    typer.Option("--terminate", help="Terminate runs of the schedule that are in progress."),
]
Timeout = Annotated[float, typer.Option(min=1, help="Longest wait in seconds.")]


@app.command("create")
def create(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="YAML files, or folders of them; default: manifests/recurring."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only read and validate the files.")
    ] = False,
    service_account: Annotated[
        str | None,
        typer.Option(help="Service account of the pods, instead of the one in the files."),
    ] = None,
    wait: Wait = False,
    terminate: Terminate = False,
    timeout: Timeout = 86400.0,
    host: options.Host = None,
    namespace: options.Namespace = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    ca_cert: options.CaCert = None,
    verify_tls: options.VerifyTls = None,
) -> None:
    """Create or replace the recurring runs so that they are as in the files.

    Replacing one would kill its run in progress: pass --wait or --terminate.
    """
    from pipelines.cluster.kubernetes import require_service_account
    from pipelines.cron import six_fields
    from pipelines.schedule import read_schedules

    schedules = read_schedules(paths or [_FOLDER])
    if service_account is not None:
        change = {"service_account": service_account}
        schedules = [schedule.model_copy(update=change) for schedule in schedules]
    if dry_run:
        for schedule in schedules:
            print(f"{schedule.name}: {schedule.pipeline} at {six_fields(schedule.cron)}")
        return
    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    watcher, present = _schedules(client)
    for schedule in schedules:
        require_service_account(
            watcher.kubernetes, schedule.service_account, client.namespace, print
        )
    on_active = _on_active(client, watcher, wait, terminate, timeout)
    for schedule in schedules:
        outcome = present.create(schedule, on_active)
        print(f"{outcome.name}: {outcome.done}")


@app.command("list")
def list_(
    as_json: options.Json = False,
    host: options.Host = None,
    namespace: options.Namespace = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    ca_cert: options.CaCert = None,
    verify_tls: options.VerifyTls = None,
) -> None:
    """List the recurring runs, with the five fields of their cron expressions (UTC)."""
    from pipelines.cron import shown_cron

    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    rows = []
    for run in _schedules(client)[1].listed():
        trigger = run.trigger.cron_schedule if run.trigger else None
        cron = shown_cron(trigger.cron or "", run.description or "") if trigger else ""
        state = str(run.status or run.mode or "")
        rows.append([run.display_name, cron, state, run.recurring_run_id])
    print_table(["name", "cron", "state", "id"], rows, as_json)


@app.command("pause")
def pause(
    name: Name,
    host: options.Host = None,
    namespace: options.Namespace = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    ca_cert: options.CaCert = None,
    verify_tls: options.VerifyTls = None,
) -> None:
    """Pause a recurring run; a run of it that is in progress goes on."""
    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    active = _schedules(client)[1].switch(name, enabled=False)
    print(f"{name}: paused")
    for state in active:
        print(f"its run {state.name} ({state.run_id}) goes on")


@app.command("resume")
def resume(
    name: Name,
    host: options.Host = None,
    namespace: options.Namespace = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    ca_cert: options.CaCert = None,
    verify_tls: options.VerifyTls = None,
) -> None:
    """Resume a paused recurring run."""
    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    _schedules(client)[1].switch(name, enabled=True)
    print(f"{name}: resumed")


@app.command("delete")
def delete(
    name: Name,
    wait: Wait = False,
    terminate: Terminate = False,
    timeout: Timeout = 86400.0,
    host: options.Host = None,
    namespace: options.Namespace = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    ca_cert: options.CaCert = None,
    verify_tls: options.VerifyTls = None,
) -> None:
    """Delete a recurring run, if it exists.

    That would kill its run in progress: pass --wait or --terminate.
    """
    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    watcher, schedules = _schedules(client)
    deleted = schedules.delete(name, _on_active(client, watcher, wait, terminate, timeout))
    print(f"{name}: {'deleted' if deleted else 'does not exist'}")


def _schedules(client: "KfpClient") -> "tuple[Watcher, Schedules]":
    from pipelines.cluster.watch import Watcher
    from pipelines.schedule import Schedules

    watcher = Watcher(client)
    return watcher, Schedules(client, watcher.look)


def _on_active(
    client: "KfpClient", watcher: "Watcher", wait: bool, terminate: bool, timeout: float
) -> "OnActive":
    """Return what is done about the runs in progress of a schedule that is to be deleted."""
    from pipelines.connection import ClusterError

    def on_active(name: str, active: "list[RunState]") -> None:
        names = ", ".join(f"{state.name} ({state.run_id})" for state in active)
        end = terminate or (
            not wait
            and sys.stdin.isatty()
            and typer.confirm(f"Terminate {names}, which the schedule {name} started?")
        )
        if not end and not wait:
            raise ClusterError(
                f"A run of the schedule {name} is in progress",
                expected="a schedule without one: KFP kills it when its schedule is deleted",
                received=names,
                hint="--wait waits for its end, --terminate ends it; nothing was changed",
            )
        for state in active:
            if end:
                client.terminate(state.run_id)
            print(f"waiting for the end of {state.name} ({state.run_id})", flush=True)
            ended = client.wait(state.run_id, timeout, lambda _: None, look=watcher.look)
            print(f"run {ended.name}: {ended.state}", flush=True)

    return on_active
