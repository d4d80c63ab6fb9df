"""`mammo score`: mammograms in, malignant probabilities out."""

from pathlib import Path
from typing import Annotated

import typer


def score(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="DICOM or grey PNG and TIFF files, folders of them, s3://bucket/prefix.",
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
        Path, typer.Option(metavar="FILE", help="Where the scores go: .csv, .json or .parquet.")
    ] = Path("scores.csv"),
    flips: Annotated[
        bool | None,
        typer.Option(
            "--flips/--no-flips",
            help="Average over each image and its three flips. Default: as it was evaluated.",
        ),
    ] = None,
    operating_point: Annotated[
        str | None, typer.Option(metavar="NAME", help="The one that decides (see models show).")
    ] = None,
    heatmaps: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Draw a heatmap of every image there.")
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Also write the hottest regions of every image."),
    ] = False,
    public_key: Annotated[
        Path | None,
        typer.Option(
            metavar="PEM",
            envvar="MAMMO_PUBLIC_KEY",
            help="Refuse a model that is not signed by this key.",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images the network sees at once.")] = 8,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Threads that read files.")] = 2,
) -> None:
    """Score mammograms. Research use only. Not a medical device.

    Writes a row per image, per breast and per patient (docs/scoring.md lists the columns).
    What could not be scored is in <FILE>.rejects.csv beside it, with the reason. A scoring
    that was stopped goes on where it was. Exit code 1 when no file could be scored.
    """
    from mammo_core.packaging import load
    from mammo_core.progress import progress
    from mammo_core.registry import resolve
    from mammo_core.scoring import ScoreOptions, find_files, own_files
    from mammo_core.scoring import score as score_files
    from mammo_core.scoring.tables import format_of

    # A wrong path is told before a network is loaded.
    format_of(out)
    found = find_files(paths, leave_out=own_files(out))
    packages = [load(resolve(uri), public_key) for uri in model]
    options = ScoreOptions(
        batch_size=batch_size,
        weights=tuple(weight) if weight else None,
        flips=flips,
        operating_point=operating_point,
        heatmaps=heatmaps,
        explain=explain,
        workers=workers,
    )
    with progress("score", len(found), "images") as shown:
        summary = score_files(packages, paths, out, options, progress=shown.advance)
    names = ", ".join(f"{one.manifest.name} {one.model_id[:12]}" for one in packages)
    typer.echo(
        f"{summary.scored} scored, {summary.rejected} rejected of {summary.files} files in "
        f"{summary.seconds:.1f} s ({summary.images_per_s:.1f} images/s), model {names}"
    )
    if packages[0].unit == "breast":
        typer.echo("Each image has the probability of its breast: the model sees both views")
    if summary.resumed:
        typer.echo(f"{summary.resumed} of them were scored before this was stopped")
    if summary.warned:
        typer.echo(f"{summary.warned} images with warnings: see the column `warnings`")
    if summary.without_patient:
        typer.echo(
            f"{summary.without_patient} images of no known patient or side: they are in no "
            "breast and no patient"
        )
    for path in summary.written:
        typer.echo(f"{'rejects' if path == summary.rejects else 'scores'}: {path}")
    if not summary.scored:
        typer.echo("No file could be scored: the rejects say why.", err=True)
        raise typer.Exit(1)
