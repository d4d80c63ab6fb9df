"""`mammo serve`: a model package as an HTTP service."""

from pathlib import Path
from typing import Annotated

import typer

from mammo_core.cli.scoring_options import (
    Acknowledge,
    DecideUnlike,
    EventIds,
    Events,
    OnRequest,
    PublicKey,
    RequireSite,
    Site,
    read_site_rules,
)


def serve(
    model: Annotated[
        list[str],
        typer.Option(
            metavar="URI",
            help="A package folder, …/models/<name>/<version>, or …/models/<name> (its champion). "
            "Several: their probabilities are averaged.",
        ),
    ],
    weight: Annotated[
        list[float] | None,
        typer.Option(metavar="W", help="Weight of a model; once for each --model, in order."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 chooses a free one.")
    ] = 8080,
    health_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Port of health and metrics alone, in a thread of its own, without token and TLS.",
        ),
    ] = None,
    name: Annotated[
        str,
        typer.Option(
            help="Name of the model in paths; default: its published name, or `ensemble`."
        ),
    ] = "",
    site: Site = None,
    require_site: RequireSite = False,
    public_key: PublicKey = None,
    tokens: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="MAMMO_SERVE_TOKENS",
            help="Accept these tokens: a name and a token in each line.",
        ),
    ] = None,
    jwks: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="MAMMO_SERVE_JWKS",
            help="Accept JSON Web Tokens that are signed with a key of this JWKS file.",
        ),
    ] = None,
    jwt_audience: Annotated[
        str, typer.Option(help="Audience of JSON Web Tokens; required with --jwks.")
    ] = "",
    jwt_issuer: Annotated[str, typer.Option(help="Issuer of JSON Web Tokens; default: any.")] = "",
    tls_certificate: Annotated[
        Path | None, typer.Option(metavar="PEM", help="Serve HTTPS with this certificate.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="PEM", help="Private key of the certificate.")
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Name that the Host header may have: a name, `*.domain`, or `*` for any. "
            "Addresses and localhost are always allowed.",
        ),
    ] = None,
    acknowledge: Acknowledge = None,
    on_request: OnRequest = False,
    decide_unlike: DecideUnlike = False,
    events: Events = "",
    event_ids: EventIds = False,
    api_pages: Annotated[
        bool, typer.Option("--api-pages", help="Serve a page about the API at /docs.")
    ] = False,
    access_log: Annotated[
        bool, typer.Option(help="Log a line of JSON per request to standard error.")
    ] = True,
    max_body_mb: Annotated[float, typer.Option(help="Largest body in MiB (413).")] = 256,
    max_requests: Annotated[
        int, typer.Option(min=1, help="Concurrent requests, including waiting ones (503).")
    ] = 512,
    max_connections: Annotated[
        int | None,
        typer.Option(
            min=2, help="Open connections; default: 768, or 256 more than --max-requests."
        ),
    ] = None,
    header_s: Annotated[
        float, typer.Option(help="Longest time for the head of a request in seconds (408).")
    ] = 15,
    idle_s: Annotated[float, typer.Option(help="Longest pause in a body in seconds (408).")] = 15,
    body_s: Annotated[float, typer.Option(help="Longest time for a body in seconds (408).")] = 300,
    work_s: Annotated[
        float, typer.Option(help="Longest time for the work, waiting included, in seconds (503).")
    ] = 120,
    slots: Annotated[
        int, typer.Option(min=1, help="Images decoded and scored at a time; limits memory.")
    ] = 4,
    grace_s: Annotated[
        int, typer.Option(min=1, help="Seconds for a stopped server to complete its requests.")
    ] = 30,
) -> None:
    """Serve a model over HTTP: Open Inference Protocol v2, and POST /score for DICOM files.

    Research use only. Not a medical device. Without --tokens or --jwks, anyone who reaches the
    port can use it; without --tls-certificate, traffic is not encrypted.
    """
    from pydantic import ValidationError

    from mammo_core.errors import RecipeError
    from mammo_core.serving.config import ServeConfig
    from mammo_core.serving.run import Access
    from mammo_core.serving.run import serve as run

    site_rules = read_site_rules(site, require_site)
    if max_connections is None:
        max_connections = max(768, max_requests + 256)
    try:
        config = ServeConfig(
            max_body_mb=max_body_mb,
            max_requests=max_requests,
            max_connections=max_connections,
            header_s=header_s,
            idle_s=idle_s,
            body_s=body_s,
            work_s=work_s,
            slots=slots,
            grace_s=grace_s,
            allowed_hosts=tuple(allowed_host or ()),
            on_request=on_request,
            decide_unlike=decide_unlike,
            api_pages=api_pages,
            access_log=access_log,
        )
    except ValidationError as error:
        fault = error.errors()[0]
        raise RecipeError(
            "The limits of the server are not valid",
            expected=f"{'.'.join(map(str, fault['loc'])) or 'limits'}: {fault['msg']}",
            received=str(fault["input"]) if fault["loc"] else f"{max_connections} connections",
        ) from error
    from mammo_core.monitoring.batches import open_event_store
    from mammo_core.monitoring.writer import EventWriter
    from mammo_core.serving.transport.authentication import authenticator_from_files
    from mammo_core.serving.transport.tls import tls_from_files

    access = Access(
        host=host,
        port=port,
        health_port=health_port,
        authenticator=authenticator_from_files(tokens, jwks, jwt_audience, jwt_issuer),
        tls=tls_from_files(tls_certificate, tls_key),
    )
    run(
        model,
        access=access,
        config=config,
        weights=weight or None,
        name=name,
        public_key=public_key,
        site=site_rules,
        acknowledged=acknowledge or (),
        events=EventWriter(open_event_store(events)) if events else None,
        keyed_events=event_ids,
    )
