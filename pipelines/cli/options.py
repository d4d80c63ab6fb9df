"""Options that several commands of `mammo pipeline` share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pipelines.client import KfpClient

Host = Annotated[
    str | None,
    typer.Option(help="Address of Kubeflow Pipelines; default: MAMMO_KFP_HOST, or kfp.yaml."),
]
Namespace = Annotated[
    str | None,
    typer.Option(help="Namespace (profile) of the runs; default: MAMMO_KFP_NAMESPACE."),
]
Token = Annotated[
    str | None,
    typer.Option(
        help="Bearer token; MAMMO_KFP_TOKEN and --token-file keep it out of process lists."
    ),
]
TokenFile = Annotated[Path | None, typer.Option(help="File with the bearer token.")]
CaCert = Annotated[
    Path | None,
    typer.Option(help="PEM file of the authorities that are trusted; default: MAMMO_CA_BUNDLE."),
]
VerifyTls = Annotated[
    bool | None,
    typer.Option(
        "--verify-tls/--no-verify-tls",
        help="Whether to verify the certificate of the server.",
        show_default=False,
    ),
]
Registry = Annotated[
    str,
    typer.Option(envvar="MAMMO_IMAGE_REGISTRY", help="Prefix of the names of container images."),
]
ImageTag = Annotated[
    str | None,
    typer.Option(
        envvar="MAMMO_IMAGE_TAG",
        help="Tag of the container images; default: the tag of `make images` here.",
    ),
]
DataImage = Annotated[
    str | None,
    typer.Option(
        envvar="MAMMO_DATA_IMAGE",
        help="Full reference of the data container image, with a tag or digest.",
    ),
]
TrainImage = Annotated[
    str | None,
    typer.Option(
        envvar="MAMMO_TRAIN_IMAGE",
        help="Full reference of the train container image, for instance one for GPUs.",
    ),
]
TrainingImage = Annotated[
    str | None,
    typer.Option(
        envvar="MAMMO_TRAINING_IMAGE",
        help="Another container image for the two training steps (train-tfio for `reader: tfio`).",
    ),
]
Parallelism = Annotated[
    int, typer.Option(min=1, help="Partitions or networks that run at the same time.")
]
Signed = Annotated[
    bool,
    typer.Option(
        "--signed",
        help="Check the signing key before any work; required where MAMMO_TRUST is set.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

REGISTRY = "mammo-pipelines"


@dataclass(frozen=True)
class RunRequest:
    """What `mammo pipeline run` is to run, here or on a cluster.

    Attributes:
        pipeline: `train`, `retrain`, `transfer` or `score`.
        recipe: File, name or URI of the recipe.
        store: URI of the object store; None: the default.
        source: Folder or URI of the mammograms; None: that of the recipe.
        overrides: Overrides of the recipe, each `key.key=value`.
        run_id: Id of the run; empty: a new one.
        parameters: Parameters of the pipeline, by name.
    """

    pipeline: str
    recipe: str | None = None
    store: str | None = None
    source: str | None = None
    overrides: Sequence[str] = ()
    run_id: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


def client_from(
    host: str | None,
    namespace: str | None,
    token: str | None,
    token_file: Path | None,
    ca_cert: Path | None,
    verify_tls: bool | None,
) -> "KfpClient":
    """Return a client with the settings of these options, the environment and kfp.yaml."""
    from pipelines.client import KfpClient
    from pipelines.connection import settings_from

    settings = {
        "host": host,
        "namespace": namespace,
        "token": token,
        "token_file": token_file,
        "ca_cert": ca_cert,
        "verify_tls": verify_tls,
    }
    return KfpClient(settings_from(settings))


def image_tag(option: str | None) -> str:
    """Return the tag of the container images: that of the option, or of this source tree.

    Raises:
        RecipeError: No tag is given, and this is not a git checkout.
    """
    from mammo_core.errors import RecipeError
    from pipelines.image_tag import source_tag

    tag = option or source_tag()
    if tag is None:
        raise RecipeError(
            "The tag of the container images is missing",
            expected="--image-tag or MAMMO_IMAGE_TAG: the git sha that they were built from",
            received="none, and this is not a git checkout",
        )
    return tag
