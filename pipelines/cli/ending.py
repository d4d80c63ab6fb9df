"""`mammo pipeline terminate`, `retry` and `archive`."""

from typing import Annotated

import typer

from pipelines.cli import options
from pipelines.cli.looking import RunId


def terminate(
    run_id: RunId,
    timeout: Annotated[
        float, typer.Option(min=1, help="Longest wait for the end of the run, in seconds.")
    ] = 600.0,
    host: options.Host = None,
    namespace: options.Namespace = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    ca_cert: options.CaCert = None,
    verify_tls: options.VerifyTls = None,
) -> None:
    """Terminate a run, wait for its summary, and delete what it leaves behind."""
    from pipelines.cluster.ending import remove_stuck_pods
    from pipelines.cluster.watch import Watcher

    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    watcher = Watcher(client)
    state = watcher.look(run_id)
    if state.final:  # of a run without its Workflow, KFP can end nothing
        print(f"run {state.name}: {state.state} already")
    else:
        client.terminate(run_id)
        state = client.wait(run_id, timeout, lambda _: None, look=watcher.look)
        print(f"run {state.name}: {state.state}")
    remove_stuck_pods(watcher.kubernetes, run_id, print)


def retry(
    run_id: RunId,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run to its end.")] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Longest wait in seconds.")] = 86400.0,
    host: options.Host = None,
    namespace: options.Namespace = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    ca_cert: options.CaCert = None,
    verify_tls: options.VerifyTls = None,
) -> None:
    """Run what failed or was terminated again, in the same run."""
    from pipelines.cli.looking import follow

    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    client.retry(run_id)
    print(f"run {client.get(run_id).name}: started again")
    print(client.link(run_id))
    if wait:
        follow(client, run_id, timeout)


def archive(
    run_id: RunId,
    undo: Annotated[
        bool, typer.Option("--undo", help="Bring the run back from the archive.")
    ] = False,
    host: options.Host = None,
    namespace: options.Namespace = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    ca_cert: options.CaCert = None,
    verify_tls: options.VerifyTls = None,
) -> None:
    """Archive a run: KFP no longer lists it among the active ones. Its record stays."""
    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    client.archive(run_id, archived=not undo)
    print(f"run {client.get(run_id).name}: {'in the list again' if undo else 'archived'}")
