"""`mammo score`: mammograms in, malignant probabilities out."""

from pathlib import Path
from typing import Annotated

import typer


def score(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", help="DICOM or grey PNG and TIFF files, and folders of them."
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            metavar="URI",
            help="A package folder, …/models/<name>/<version>, or …/models/<name> (its champion).",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="CSV", help="Where the scores go.")] = Path(
        "scores.csv"
    ),
    batch_size: Annotated[int, typer.Option(min=1, help="Images the network sees at once.")] = 8,
) -> None:
    """Score mammograms. Research use only. Not a medical device.

    Writes one row per image: id (SHA-256 of the file), path, laterality, view,
    malignant_probability, model_id. What could not be scored is in <CSV>.rejects.csv beside it,
    with the reason. Exit code 1 when no file could be scored.
    """
    from mammo_core.errors import RecipeError
    from mammo_core.packaging import load, resolve
    from mammo_core.progress import progress
    from mammo_core.scoring import find_files, rejects_path
    from mammo_core.scoring import score as score_files

    # A wrong path is told before a network is loaded.
    if out.is_dir():
        raise RecipeError(
            "The scores cannot be written", expected="a file", received=f"the folder {out}"
        )
    found = find_files(paths, leave_out=(out, rejects_path(out)))
    package = load(resolve(model))
    with progress("score", len(found), "images") as shown:
        summary = score_files(package, paths, out, batch_size=batch_size, progress=shown.advance)
    typer.echo(
        f"{summary.scored} scored, {summary.rejected} rejected of {summary.files} files in "
        f"{summary.seconds:.1f} s ({summary.images_per_s:.1f} images/s), "
        f"model {package.manifest.name} {package.model_id[:12]}"
    )
    typer.echo(f"scores:  {summary.out}")
    typer.echo(f"rejects: {summary.rejects}")
    if not summary.scored:
        typer.echo("No file could be scored: the rejects say why.", err=True)
        raise typer.Exit(1)
