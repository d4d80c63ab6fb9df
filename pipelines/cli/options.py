"""Options that several commands of `mammo pipeline` share."""

from pathlib import Path
from typing import Annotated, Any

import typer

Host = Annotated[
    str | None,
    typer.Option(help="Address of Kubeflow Pipelines (else MAMMO_KFP_HOST, or kfp.yaml)."),
]
Namespace = Annotated[
    str | None,
    typer.Option(help="Namespace of the runs, a profile (else MAMMO_KFP_NAMESPACE)."),
]
Token = Annotated[
    str | None,
    typer.Option(
        help="Bearer token; MAMMO_KFP_TOKEN and --token-file keep it out of process lists."
    ),
]
TokenFile = Annotated[Path | None, typer.Option(help="File that holds the bearer token.")]
CaCert = Annotated[Path | None, typer.Option(help="Certificate to verify the server with.")]
VerifyTls = Annotated[
    bool | None,
    typer.Option(
        "--verify-tls/--no-verify-tls", help="Whether to verify the server.", show_default=False
    ),
]
Registry = Annotated[
    str,
    typer.Option(envvar="MAMMO_IMAGE_REGISTRY", help="Prefix of the image names."),
]
ImageTag = Annotated[
    str | None,
    typer.Option(
        envvar="MAMMO_IMAGE_TAG",
        help="Tag of the images; default: that of `make images` in this tree.",
    ),
]
DataImage = Annotated[
    str | None,
    typer.Option(
        envvar="MAMMO_DATA_IMAGE", help="Full reference of the data image, by sha or digest."
    ),
]
TrainImage = Annotated[
    str | None,
    typer.Option(
        envvar="MAMMO_TRAIN_IMAGE", help="Full reference of the train image, such as a GPU image."
    ),
]
TrainingImage = Annotated[
    str | None,
    typer.Option(
        envvar="MAMMO_TRAINING_IMAGE",
        help="Another image for the two training steps only (train-tfio, for reader: tfio).",
    ),
]
Parallelism = Annotated[
    int, typer.Option(min=1, help="Partitions or networks that are processed at the same time.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

REGISTRY = "mammo-pipelines"


def client_from(
    host: str | None,
    namespace: str | None,
    token: str | None,
    token_file: Path | None,
    ca_cert: Path | None,
    verify_tls: bool | None,
) -> Any:
    """Return the client that these options, the environment and the file describe."""
    from pipelines.client import KfpClient
    from pipelines.connection import settings_from

    given = {
        "host": host,
        "namespace": namespace,
        "token": token,
        "token_file": token_file,
        "ca_cert": ca_cert,
        "verify_tls": verify_tls,
    }
    return KfpClient(settings_from(given))


def image_tag(given: str | None) -> str:
    """Return the tag of the container images: the given one, or that of this source tree.

    Raises:
        RecipeError: No tag is given, and this is not a git checkout.
    """
    from mammo_core.errors import RecipeError
    from pipelines.image_tag import source_tag

    tag = given or source_tag()
    if tag is None:
        raise RecipeError(
            "The tag of the container images is missing",
            expected="--image-tag or MAMMO_IMAGE_TAG, the git sha they were built from",
            received="none, and this is not a git checkout",
        )
    return tag
