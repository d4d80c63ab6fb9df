"""`mammo serve`: a model package as an HTTP service."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    model: Annotated[
        str,
        typer.Option(
            metavar="URI",
            help="A package folder, …/models/<name>/<version>, or …/models/<name> (its champion).",
        ),
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8080,
    name: Annotated[
        str, typer.Option(help="Name of the model in paths; default: its published name.")
    ] = "",
    public_key: Annotated[
        Path | None,
        typer.Option(
            metavar="PEM",
            envvar="MAMMO_PUBLIC_KEY",
            help="Reject a model that is not signed with this key.",
        ),
    ] = None,
    max_body_mb: Annotated[float, typer.Option(help="Largest body in MiB (413).")] = 256,
    max_requests: Annotated[
        int, typer.Option(min=1, help="Concurrent requests, including waiting ones (503).")
    ] = 512,
    idle_s: Annotated[float, typer.Option(help="Longest pause in a body in seconds (408).")] = 15,
    slots: Annotated[
        int, typer.Option(min=1, help="Images decoded and scored at a time; limits memory.")
    ] = 3,
    grace_s: Annotated[
        int, typer.Option(min=1, help="Seconds for a stopped server to complete its requests.")
    ] = 30,
) -> None:
    """Serve a model over HTTP: Open Inference Protocol v2, and POST /score for DICOM files.

    Research use only. Not a medical device. There is no authentication: run it behind a gateway
    that authenticates.
    """
    from pydantic import ValidationError

    from mammo_core.errors import RecipeError
    from mammo_core.serving.config import ServeConfig
    from mammo_core.serving.run import serve as run

    try:
        config = ServeConfig(
            max_body_mb=max_body_mb,
            max_requests=max_requests,
            idle_s=idle_s,
            slots=slots,
            grace_s=grace_s,
        )
    except ValidationError as error:
        fault = error.errors()[0]
        raise RecipeError(
            "The limits of the server are not valid",
            expected=f"{fault['loc'][0]}: {fault['msg']}",
            received=str(fault["input"]),
        ) from error
    run(model, host=host, port=port, config=config, name=name, public_key=public_key)
