"""`mammo doctor`."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import options

if TYPE_CHECKING:
    from pipelines.doctor.checks import CheckResult

app = typer.Typer(help="Check a cluster before a run needs it.")
_NAMESPACE = "kubeflow"


@app.callback(invoke_without_command=True)
def doctor(
    context: typer.Context,
    service_account: Annotated[
        str, typer.Option(help="Service account of the pods of runs.")
    ] = "mammo-run",
    image: options.DataImage = None,
    train_image: options.TrainImage = None,
    registry: options.Registry = options.REGISTRY,
    image_tag: options.ImageTag = None,
    signed: options.Signed = False,
    gpus: Annotated[int, typer.Option("--gpu-count", min=0, help="GPUs that a step asks for.")] = 0,
    outside: Annotated[
        bool, typer.Option("--outside", help="Start no pod: only look from outside.")
    ] = False,
    wait_s: Annotated[
        float, typer.Option("--timeout", min=1, help="Longest wait for the pod in seconds.")
    ] = 300.0,
    as_json: options.Json = False,
    host: options.Host = None,
    namespace: options.Namespace = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    ca_cert: options.CaCert = None,
    verify_tls: options.VerifyTls = None,
) -> None:
    """Check Kubeflow Pipelines, Secrets, keys, roles, policies, images and the object store.

    Each line has its remedy. A short-lived pod looks from inside. Exit code 1: a run would fail.
    """
    if context.invoked_subcommand is not None:
        return
    from mammo_core.errors import RunError
    from pipelines.doctor.cluster import Cluster, Target
    from pipelines.doctor.kubeflow import find_kubeflow
    from pipelines.doctor.outside import OUTSIDE
    from pipelines.doctor.pod import INSIDE

    results: list[CheckResult] = []

    def report(lines: "list[CheckResult]") -> None:
        results.extend(lines)
        if not as_json:
            for result in lines:
                print(result.line(), flush=True)

    tag = options.image_tag(image_tag)
    where = namespace or os.environ.get("MAMMO_KFP_NAMESPACE") or _NAMESPACE
    settings = (host, namespace, token, token_file, ca_cert, verify_tls)
    report(find_kubeflow(lambda: options.client_from(*settings), tag))
    target = Target(
        cluster=Cluster(),
        namespace=where,
        account=service_account,
        image=image or f"{registry}/data:{tag}",
        train_image=train_image or f"{registry}/train:{tag}",
        signed=signed,
        gpus=gpus,
        wait_s=wait_s,
    )
    for check in (*OUTSIDE, *(() if outside else (INSIDE,))):
        report(check.run(target))
    failed = [result.name for result in results if result.state == "failed"]
    if as_json:
        print(json.dumps([result.document() for result in results]))
    if failed:
        raise RunError(
            f"{len(failed)} of {len(results)} checks failed",
            expected="a cluster on which a run ends well",
            received=f"the first: {failed[0]}",
            hint="each line above names its remedy",
        )


@app.command(hidden=True)
def inside(
    credentials: Annotated[Path, typer.Argument(help="Folder of the Secrets, one for each role.")],
) -> None:
    """Try what each role may do in the object store; JSON lines. Run in a pod by the doctor."""
    from pipelines.doctor.inside import look

    for result in look(credentials):
        print(json.dumps(result.document()), flush=True)
