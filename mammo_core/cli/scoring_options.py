"""The options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

PublicKey = Annotated[
    Path | None,
    typer.Option(
        metavar="PEM",
        help="Reject a model that is not signed with this key; MAMMO_TRUST holds as well.",
    ),
]
OnRequest = Annotated[
    bool,
    typer.Option(
        "--on-request",
        help="Also score what the model's policy of images scores on request only.",
    ),
]
DecideUnlike = Annotated[
    bool,
    typer.Option(
        "--decide-unlike",
        help="Also decide about images whose gray levels are unlike training images.",
    ),
]
Acknowledge = Annotated[
    list[str] | None,
    typer.Option(
        "--acknowledge",
        metavar="NAME",
        help="Terms of data that forbid this, and which you acknowledge; or MAMMO_ACKNOWLEDGED.",
    ),
]
Events = Annotated[
    str,
    typer.Option(
        "--events",
        metavar="URI",
        envvar="MAMMO_EVENTS",
        help="Record an event of each scored image here (s3://mammo-events, or a folder), for "
        "`mammo monitor`.",
    ),
]
EventIds = Annotated[
    bool,
    typer.Option(
        "--event-ids",
        help="Events have the digest of the file and the key of the exam under the site key, so "
        "that labels can be joined later.",
    ),
]
