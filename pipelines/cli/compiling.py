"""`mammo pipeline compile` and `upload`."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import options


def compile_(
    out: Annotated[Path, typer.Argument(help="A .yaml file, or a folder for all pipelines.")],
    pipeline: Annotated[
        str | None,
        typer.Option(help="train, retrain, transfer or score; default: by the name of the file."),
    ] = None,
    parallelism: options.Parallelism = 4,
    signed: options.Signed = False,
    registry: options.Registry = options.REGISTRY,
    image_tag: options.ImageTag = None,
    data_image: options.DataImage = None,
    train_image: options.TrainImage = None,
    training_image: options.TrainingImage = None,
) -> None:
    """Compile pipelines to YAML.

    Without an option for images, the YAML has placeholders, which `upload` and `run` replace.
    """
    from pipelines.compiled import PIPELINES, compile_pipeline, images_of, with_images

    is_folder = out.suffix not in (".yaml", ".yml")
    default = out.stem if out.stem in PIPELINES else "train"
    names = [pipeline] if pipeline else list(PIPELINES) if is_folder else [default]
    for name in names:
        path = out / f"{name}.yaml" if is_folder else out
        compile_pipeline(name, path, parallelism, signed=signed)
        if image_tag or data_image or train_image or training_image:
            tag = options.image_tag(image_tag) if not (data_image and train_image) else ""
            images = images_of(registry, tag, data_image, train_image)
            path.write_text(with_images(path.read_text(), *images, training_image))
        print(f"wrote {path}")


def upload(
    pipeline: Annotated[
        list[str] | None, typer.Argument(help="Names of pipelines; default: all.")
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(
            help="Name of the version; default: the tag of the images; with --signed TAG-signed."
        ),
    ] = None,
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
    """Upload pipelines: each becomes a new pipeline, or a new version of one."""
    from pipelines.compiled import PIPELINES, name_of

    tag = options.image_tag(image_tag)
    texts = {
        name: compiled_text(
            name, parallelism, registry, tag, data_image, train_image, training_image, signed=signed
        )
        for name in pipeline or PIPELINES
    }
    client = options.client_from(host, namespace, token, token_file, ca_cert, verify_tls)
    # An uploaded version is never replaced, so the two have names of their own.
    version = version or (f"{tag}-signed" if signed else tag)
    for text in texts.values():
        _, version_id, new = client.upload(text, version)
        outcome = "uploaded" if new else "exists already:"
        print(f"{outcome} {name_of(text)}, version {version} ({version_id})")


def compiled_text(
    name: str,
    parallelism: int,
    registry: str,
    tag: str,
    data_image: str | None,
    train_image: str | None,
    training_image: str | None = None,
    *,
    signed: bool = False,
) -> str:
    """Compile a pipeline with its container images."""
    import tempfile

    from pipelines.compiled import compile_pipeline, images_of, with_images

    with tempfile.TemporaryDirectory(prefix="mammo-pipeline-") as folder:
        path = compile_pipeline(name, Path(folder) / "pipeline.yaml", parallelism, signed=signed)
        images = images_of(registry, tag, data_image, train_image)
        return with_images(path.read_text(), *images, training_image)
