"""The options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mammo_core.scoring.site_rules import SiteRules

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
Site = Annotated[
    str | None,
    typer.Option(
        "--site",
        metavar="RECORD",
        help="Use the calibration, thresholds and triage of a site's record (`mammo accept`): a "
        "file, or …/acceptances/<id> in a store. A record of another model is refused.",
    ),
]
RequireSite = Annotated[
    bool,
    typer.Option("--require-site", help="Refuse without the record of a site (--site)."),
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


def read_site_rules(site: str | None, required: bool) -> "SiteRules | None":
    """Return the rules of the record that --site names; None without one.

    Args:
        site: The record.
        required: Whether there must be one.

    Raises:
        RecipeError: It is required, and there is none.
        ModelError: It cannot be used: see `acceptance.record.open_site_rules`.
    """
    from mammo_core.acceptance.record import open_site_rules
    from mammo_core.errors import RecipeError

    if site is not None:
        return open_site_rules(site)
    if required:
        raise RecipeError(
            "No site has accepted this model",
            expected="the record of a site (--site), because of --require-site",
            received="none",
            hint="`mammo accept` makes it from cases of the site.",
        )
    return None
