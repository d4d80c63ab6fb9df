"""`mammo pipeline schedule …`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import options
from pipelines.cli.looking import table

app = typer.Typer(no_args_is_help=True)
_FOLDER = Path("manifests/recurring")
Name = Annotated[str, typer.Argument(help="Name of the recurring run.")]


@app.command("create")
def create(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="YAML files, or folders of them; default: manifests/recurring."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only read and validate the files.")
    ] = False,
    host: options.Host = None,
    namespace: options.Namespace = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    ca_cert: options.CaCert = None,
    verify_tls: options.VerifyTls = None,
) -> None:
    """Create or replace the recurring runs so that they are as in the files."""
    from pipelines.schedule import Schedules, read_schedules, six_fields

    schedules = read_schedules(paths or [_FOLDER])
    if dry_run:
        for schedule in schedules:
            print(f"{schedule.name}: {schedule.pipeline} at {six_fields(schedule.cron)}")
        return
    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    for schedule in schedules:
        outcome = Schedules(client).create(schedule)
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
    """List the recurring runs."""
    from pipelines.schedule import Schedules

    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    rows = []
    for name, run in sorted(Schedules(client).present().items()):
        trigger = run.trigger.cron_schedule if run.trigger else None
        state = str(run.status or run.mode or "")
        rows.append([name, trigger.cron if trigger else "", state, run.recurring_run_id])
    header = ["name", "cron", "state", "id"]
    if as_json:
        print(json.dumps([dict(zip(header, row, strict=True)) for row in rows], indent=1))
        return
    table(header, rows)


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
    """Pause a recurring run."""
    from pipelines.schedule import Schedules

    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    Schedules(client).switch(name, enabled=False)
    print(f"{name}: paused")


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
    from pipelines.schedule import Schedules

    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    Schedules(client).switch(name, enabled=True)
    print(f"{name}: resumed")


@app.command("delete")
def delete(
    name: Name,
    host: options.Host = None,
    namespace: options.Namespace = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    ca_cert: options.CaCert = None,
    verify_tls: options.VerifyTls = None,
) -> None:
    """Delete a recurring run, if it exists."""
    from pipelines.schedule import Schedules

    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    print(f"{name}: {'deleted' if Schedules(client).delete(name) else 'does not exist'}")
