"""`mammo score`: malignant probabilities of mammograms."""

from pathlib import Path
from typing import Annotated

import typer

from mammo_core.cli.dicom_results import DicomResults
from mammo_core.cli.scoring_options import (
    DecideUnlike,
    EventIds,
    Events,
    OnRequest,
    PublicKey,
    RequireSite,
    Site,
    read_site_rules,
)


def score(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="DICOM or gray PNG, TIFF and PGM files, folders, s3://bucket/prefix.",
        ),
    ],
    model: Annotated[
        list[str],
        typer.Option(
            metavar="URI",
            help="A package folder, …/models/<name>/<version>, or …/models/<name> (its "
            "champion). Several: their probabilities are averaged.",
        ),
    ],
    weight: Annotated[
        list[float] | None,
        typer.Option(metavar="W", help="Weight of a model; once for each --model, in order."),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="File for the scores: .csv, .json or .parquet.")
    ] = Path("scores.csv"),
    flips: Annotated[
        bool | None,
        typer.Option(
            "--flips/--no-flips",
            help="Average over each image and its three flips; default: as evaluated. Other flips "
            "give no decision, unless the evaluation stored rules for them.",
        ),
    ] = None,
    operating_point: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Operating point for decisions (see models show)."),
    ] = None,
    heatmaps: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for a heatmap of every image.")
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Also write the regions with the highest scores."),
    ] = False,
    site: Site = None,
    require_site: RequireSite = False,
    dicom_out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the results as DICOM objects, with the patient of their images.",
        ),
    ] = None,
    dicom_time: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="When the exams were scored, ISO 8601 with an offset; default: now.",
        ),
    ] = "",
    public_key: PublicKey = None,
    on_request: OnRequest = False,
    decide_unlike: DecideUnlike = False,
    keyed_ids: Annotated[
        bool,
        typer.Option(
            "--keyed-ids",
            help="Name images by the digest of their file under the site key, so that nobody who "
            "holds the file finds its row.",
        ),
    ] = False,
    events: Events = "",
    event_ids: EventIds = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per batch of the network.")] = 8,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Threads that read files.")] = 2,
) -> None:
    """Score mammograms. Research use only. Not a medical device.

    Writes a row per image, per breast and per patient (docs/scoring.md lists the columns).
    <FILE>.rejects.csv lists the files that cannot be scored, with the reason. An interrupted run
    resumes when the command is repeated. The exit code is 1 if no file can be scored.
    """
    from mammo_core.monitoring.batches import open_event_store
    from mammo_core.monitoring.writer import EventWriter
    from mammo_core.progress import progress
    from mammo_core.registry import open_package
    from mammo_core.scoring import ScoreOptions, list_files, output_files
    from mammo_core.scoring import score as score_files
    from mammo_core.scoring.events import EventRecorder
    from mammo_core.scoring.gray_levels import GENERAL_RULES
    from mammo_core.scoring.model import WHY_UNDECIDED
    from mammo_core.scoring.tables import format_of

    # A wrong path is reported before a network is loaded.
    format_of(out)
    results = DicomResults(dicom_out, dicom_time)
    site_rules = read_site_rules(site, require_site)
    files = list_files(paths, exclude=[*output_files(out), *results.files()])
    opened = [open_package(uri, public_key) for uri in model]
    packages = [package.load() for package in opened]
    options = ScoreOptions(
        batch_size=batch_size,
        weights=tuple(weight) if weight else None,
        flips=flips,
        operating_point=operating_point,
        heatmaps=heatmaps,
        explain=explain,
        workers=workers,
        on_request=on_request,
        decide_unlike=decide_unlike,
        keyed_ids=keyed_ids,
        outlines=results.have_outlines(packages, explain),
        site=site_rules,
    )
    writer = EventWriter(open_event_store(events)) if events else None
    recorder = EventRecorder([writer], event_ids) if writer is not None else None
    try:
        with progress("score", len(files), "images") as bar:
            summary = score_files(
                packages,
                files,
                out,
                options,
                progress=bar.advance,
                recorder=recorder,
                deliver=results.deliver(opened),
            )
    finally:
        recorded = writer.close() if writer is not None else {}
    names = ", ".join(f"{package.manifest.name} {package.model_id[:12]}" for package in packages)
    typer.echo(
        f"{summary.scored} scored, {summary.rejected} rejected of {summary.files} files in "
        f"{summary.seconds:.1f} s ({summary.images_per_s:.1f} images/s), model {names}"
    )
    if site_rules is not None:
        typer.echo(
            f"Calibration, thresholds and triage of {site_rules.site}, {site_rules.accepted_on}"
        )
    if recorded:
        typer.echo(f"{recorded['written']} events recorded, {recorded['dropped']} dropped")
    if packages[0].unit == "breast":
        typer.echo("Each image has the probability of its breast: the model uses both views")
    if summary.resumed:
        typer.echo(f"{summary.resumed} of them were scored by an earlier, interrupted run")
    if summary.warned:
        typer.echo(f"{summary.warned} images with warnings: see the column `warnings`")
    if summary.unlike:
        typer.echo(
            f"{summary.unlike} images are unlike training images: see the column "
            f"`unlike_training`{'' if decide_unlike else ', they have no decision'}"
        )
    if summary.no_decision:
        typer.echo(f"There is {WHY_UNDECIDED[summary.no_decision]}")
    if not all(package.training_data.gray_levels for package in packages):
        typer.echo(f"Gray levels were checked by {GENERAL_RULES}")
    if summary.without_patient:
        typer.echo(
            f"{summary.without_patient} images without patient or laterality: not included in "
            "the breasts and patients"
        )
    for path in summary.written:
        typer.echo(f"{'rejects' if path == summary.rejects else 'scores'}: {path}")
    results.report()
    if not summary.scored:
        typer.echo("No file could be scored: see the rejects.", err=True)
        raise typer.Exit(1)
