"""`mammo pipeline run`: on this machine, or on a cluster."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import options
from pipelines.cli.cluster_run import (
    cluster_parameters,
    read_compiled_pipeline,
    require_no_batch_search,
)
from pipelines.cli.compiling import compiled_text
from pipelines.cli.local_run import run_locally
from pipelines.cli.looking import follow


def run(
    recipe: Annotated[
        str | None, typer.Option(help="File or name of the recipe (not for `score`).")
    ] = None,
    pipeline: Annotated[str, typer.Option(help="train, retrain, transfer or score.")] = "train",
    local: Annotated[bool, typer.Option("--local", help="Run on this machine.")] = False,
    docker: Annotated[
        bool,
        typer.Option(
            "--docker",
            help="With --local: run each step in its container image (s3:// only).",
        ),
    ] = False,
    store: Annotated[
        str | None,
        typer.Option(
            envvar="MAMMO_STORE",
            help="URI of the object store; default: file://store locally, s3://mammo on a cluster.",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="Folder or s3:// URI of the mammograms; default: that of the recipe."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key.key=value: overrides the recipe; may be repeated."),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(help="name=value: a parameter of the pipeline; may be repeated."),
    ] = None,
    gpu_count: Annotated[
        int | None,
        typer.Option(min=0, envvar="MAMMO_GPU_COUNT", help="GPUs of each training step."),
    ] = None,
    gpu_type: Annotated[
        str | None, typer.Option(envvar="MAMMO_GPU_TYPE", help="Resource name of the GPUs.")
    ] = None,
    shuffle_labels: Annotated[
        bool,
        typer.Option(
            "--shuffle-labels",
            help="Permute the labels over patients: the AUC must be near 0.5; never pushed.",
        ),
    ] = False,
    find_batch_size: Annotated[
        bool,
        typer.Option(
            "--find-batch-size",
            help="With --local: train with the largest batches that fit into memory.",
        ),
    ] = False,
    runs: Annotated[Path, typer.Option(help="Folder of the records of local runs.")] = Path("runs"),
    run_id: Annotated[str, typer.Option(help="Id of the run; default: recipe and time.")] = "",
    file: Annotated[
        Path | None, typer.Option(help="A compiled pipeline with its container images, to be run.")
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(help="An uploaded version to run: its name, or `latest`."),
    ] = None,
    experiment: Annotated[str, typer.Option(help="Experiment that the run belongs to.")] = "mammo",
    service_account: Annotated[str, typer.Option(help="Service account of the pods.")] = "",
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Turn KFP's cache off for every task.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run to its end.")] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Longest wait in seconds.")] = 86400.0,
    parallelism: options.Parallelism = 4,
    signed: options.Signed = False,
    registry: options.Registry = options.REGISTRY,
    image_tag: options.ImageTag = None,
    data_image: options.DataImage = None,
    train_image: options.TrainImage = None,
    training_image: options.TrainingImage = None,
    host: options.Host = None,
    namespace: options.Namespace = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    ca_cert: options.CaCert = None,
    verify_tls: options.VerifyTls = None,
) -> None:
    """Run a pipeline, on this machine (--local) or on a cluster."""
    from mammo_core.runs import run_id_of
    from pipelines.client import parsed_parameters
    from pipelines.cluster.kubernetes import Kubernetes, require_service_account
    from pipelines.compiled import images_of, validate_parameters
    from pipelines.schedule import pipeline_name
    from pipelines.submission import run_name, uploaded_version

    if run_id:
        run_id_of(run_id)
    parameters = parsed_parameters(param or [])
    overrides = [*(settings or []), *(["shuffle_labels=true"] if shuffle_labels else [])]
    request = options.RunRequest(pipeline, recipe, store, source, overrides, run_id, parameters)
    if local:
        images = None
        if docker:
            tag = options.image_tag(image_tag)
            images = images_of(registry, tag, data_image, train_image)
        run_locally(request, runs, images, find_batch_size)
        return
    require_no_batch_search(find_batch_size)
    gpus = {} if gpu_count is None else {"gpu_count": str(gpu_count)}
    gpus |= {} if gpu_type is None else {"gpu_type": gpu_type}
    parameters = {**gpus, **cluster_parameters(request)}
    text, tag = None, ""
    if file is not None:
        text = read_compiled_pipeline(file)
    elif version is None:
        tag = options.image_tag(image_tag)
        text = compiled_text(
            pipeline,
            parallelism,
            registry,
            tag,
            data_image,
            train_image,
            training_image,
            signed=signed,
        )
    if text is not None:  # before connecting, which may take long
        validate_parameters(text, parameters)
    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    if service_account:
        kubernetes = Kubernetes([client.namespace or ""])
        require_service_account(kubernetes, service_account, client.namespace, print)
    uploaded = None
    if text is None:
        requested = "" if version == "latest" else str(version)
        uploaded = client.uploaded(pipeline_name(pipeline), requested)
    elif not no_cache:  # KFP turns its cache off for a compiled text only
        uploaded = uploaded_version(client, text, f"{tag}-signed" if signed and tag else tag)
        text = None
    name = run_id or run_name(pipeline, parameters)
    kfp_run_id = client.run(
        parameters,
        name=name,
        experiment=experiment,
        text=text,
        version=uploaded,
        service_account=service_account,
        cache=False if no_cache else None,
    )
    print(f"submitted {name}: run {kfp_run_id}")
    print(client.link(kfp_run_id))
    if wait:
        follow(client, kfp_run_id, timeout, store or "")
