"""`mammo phantom`: synthetic mammograms, for trying everything without a download."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

_SECONDS_BETWEEN_LINES = 5.0

app = typer.Typer(no_args_is_help=True, help="Synthetic mammograms as published data sets.")


@app.callback()
def _phantom() -> None:
    """Synthetic mammograms as published data sets."""


@app.command()
def create(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New, empty, or to be resumed.")],
    patients: Annotated[int, typer.Option(help="Number of patients.")] = 60,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    layout: Annotated[
        str,
        typer.Option(
            help="original (paths of the tables) or nbia (renamed folders) of CBIS-DDSM; "
            "vindr_mammo, rsna_2023, cmmd, embed, csaw_cc, mias or bcdr."
        ),
    ] = "original",
    size: Annotated[
        str, typer.Option(metavar="HxW", help="Rows x columns, at least 96x72.")
    ] = "576x448",
    difficulty: Annotated[
        float, typer.Option(help="0: clear differences, 1: benign and malignant look nearly alike.")
    ] = 0.62,
    likeness: Annotated[
        float,
        typer.Option(
            help="0 to 1: how strongly all images of a patient share a texture of her own."
        ),
    ] = 0.0,
    vendors: Annotated[
        int, typer.Option(help="Vendors whose systems made the images: each has a look of its own.")
    ] = 1,
    first_vendor: Annotated[
        int,
        typer.Option(
            help="Position of the first of these vendors, 0 to 7: data sets of different vendors."
        ),
    ] = 0,
    priors: Annotated[
        int | None,
        typer.Option(
            help="Earlier exams of each patient, in which a cancer is smaller.",
            show_default="as the layout has",
        ),
    ] = None,
    prevalence: Annotated[
        float | None,
        typer.Option(
            help="Share of patients with a cancer, 0 to 1.", show_default="that of the layout"
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes.", show_default="one per processor")
    ] = None,
) -> None:
    """Create a synthetic data set: by default CBIS-DDSM, with masks, crops and four case tables.

    The same command does nothing to a complete tree, and completes an unfinished one.
    """
    from mammo_core.errors import RecipeError
    from mammo_core.phantom import PhantomConfig
    from mammo_core.phantom import create as create_tree
    from mammo_core.phantom.config import parse_size

    height, width = parse_size(size)
    if workers is not None and workers < 1:
        raise RecipeError(
            "--workers cannot be used", expected="at least 1 process", received=f"{workers}"
        )
    config = PhantomConfig(
        patients=patients,
        seed=seed,
        layout=layout,
        height=height,
        width=width,
        difficulty=difficulty,
        likeness=likeness,
        vendors=vendors,
        first_vendor=first_vendor,
        priors=priors,
        prevalence=prevalence,
    )
    with _show_progress() as progress:
        summary = create_tree(folder, config, workers=workers, progress=progress)
    counts = summary.counts
    content = (
        f"{counts['patients']} patients, {counts['views']} views, "
        f"{counts['mammograms']} mammograms, {counts['files']} files, "
        f"{counts['bytes'] / 1e6:.0f} MB"
    )
    if summary.complete_before:
        typer.echo(f"{folder}: already complete ({content})")
    else:
        rate = summary.drawn / max(summary.seconds, 1e-9)
        typer.echo(f"{folder}: {content}, {summary.seconds:.1f} s, {rate:.1f} images/s")


@contextmanager
def _show_progress() -> Iterator[Callable[[int, int], None]]:
    """Show progress: a bar on a terminal, a plain line every few seconds elsewhere."""
    import sys
    import time

    started = time.monotonic()
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            *Progress.get_default_columns()[:2],
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:.1f} images/s"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("phantom", total=None, rate=0.0)

            def advance_bar(done: int, total: int) -> None:
                rate = done / (time.monotonic() - started)
                bar.update(task, completed=done, total=total, rate=rate)

            yield advance_bar
        return

    last_line = started

    def print_line(done: int, total: int) -> None:
        nonlocal last_line
        now = time.monotonic()
        if now - last_line >= _SECONDS_BETWEEN_LINES:
            last_line = now
            typer.echo(f"{done}/{total} images, {done / (now - started):.1f} images/s", err=True)

    yield print_line
