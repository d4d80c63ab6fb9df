"""`mammo accept`: a site looks at a model before it uses it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mammo_core.cli.scoring_options import PublicKey

if TYPE_CHECKING:
    from mammo_core.acceptance.run import AcceptanceResult
    from mammo_core.sources.config import SourceConfig


def accept(
    model: Annotated[
        str,
        typer.Option(
            metavar="URI",
            help="A package folder, …/models/<name>/<version>, or …/models/<name> (its champion).",
        ),
    ],
    cases: Annotated[
        str,
        typer.Option(
            metavar="TABLE",
            help="The site's cases with their labels: a CSV file, or a folder of case tables, as "
            "`mammo sources check` takes it.",
        ),
    ],
    site_name: Annotated[str, typer.Option(metavar="NAME", help="Name of the site.")],
    images: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="The images, a folder or URI; default: the folder of the table."
        ),
    ] = None,
    source: Annotated[
        str, typer.Option(help="Adapter that reads the table, for example table or cbis-ddsm.")
    ] = "table",
    mapping: Annotated[
        str,
        typer.Option(metavar="NAME", help="Mapping of columns and cells, a file beside the table."),
    ] = "",
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="New folder for the record, the page and the cases.")
    ] = Path("acceptance"),
    store: Annotated[
        str | None, typer.Option(metavar="URI", help="Also publish the record in this store.")
    ] = None,
    miss_rate: Annotated[
        float, typer.Option(help="Share of patients with cancer that may have a low score.")
    ] = 0.05,
    false_alarm_rate: Annotated[
        float, typer.Option(help="Share of the other patients that may have a high score.")
    ] = 0.1,
    specificity: Annotated[
        float, typer.Option(help="The least specificity of the first operating point.")
    ] = 0.8,
    sensitivity: Annotated[
        float, typer.Option(help="The least sensitivity of the second operating point.")
    ] = 0.9,
    min_auc: Annotated[
        float | None,
        typer.Option(
            help="What the lower end of the AUC's interval must reach, per patient.",
            show_default="the package's AUC less --margin",
        ),
    ] = None,
    margin: Annotated[
        float, typer.Option(help="How much lower than the package's AUC is accepted.")
    ] = 0.1,
    prevalence: Annotated[
        float | None,
        typer.Option(
            help="Share of exams with a cancer in use, for calibrated probabilities.",
            show_default="that of the cases",
        ),
    ] = None,
    calibration: Annotated[
        str, typer.Option(help="site: corrected by the cases; package: kept, and checked.")
    ] = "site",
    public_key: PublicKey = None,
) -> None:
    """Look at a model on a site's own cases, and write the record by which the site uses it.

    Research use only. Not a medical device. `score` and `serve` take the record as --site. The
    exit code is 1 if the model is not accepted; the record and the page say why.
    """
    from pydantic import ValidationError

    from mammo_core.acceptance.config import AcceptanceConfig
    from mammo_core.acceptance.run import accept as accept_model
    from mammo_core.errors import RecipeError
    from mammo_core.registry import open_package
    from mammo_core.store import open_store

    site_name = site_name.strip()
    if not 0 < len(site_name) <= 100 or not site_name.isprintable():
        raise RecipeError(
            "--site-name cannot be used",
            expected="1 to 100 printable characters",
            received=repr(site_name[:100]),
        )
    try:
        config = AcceptanceConfig.model_validate(
            {
                "miss_rate": miss_rate,
                "false_alarm_rate": false_alarm_rate,
                "specificity": specificity,
                "sensitivity": sensitivity,
                "min_auc": min_auc,
                "margin": margin,
                "prevalence": prevalence,
                "calibration": calibration,
            }
        )
    except ValidationError as error:
        fault = error.errors()[0]
        name = str(fault["loc"][0])
        raise RecipeError(
            f"--{name.replace('_', '-')} cannot be used",
            expected=fault["msg"],
            received=str(fault["input"]),
        ) from error
    result = accept_model(
        open_package(model, public_key),
        _cases(cases, images, source, mapping),
        site_name,
        out,
        config,
        store=open_store(store) if store is not None else None,
    )
    _show(result)
    if not result.record.accepted:
        raise typer.Exit(1)


def _cases(table: str, images: str | None, source: str, mapping: str) -> "SourceConfig":
    from mammo_core.cli.sources import adapter_of, source_config

    folder, _, name = table.rstrip("/").rpartition("/")
    root = (folder or ".") if Path(name).suffix and not Path(table).is_dir() else table
    options = {"mapping": mapping} if mapping else {}
    return source_config(adapter_of(source), table, images or root, options)


def _show(result: "AcceptanceResult") -> None:
    record = result.record
    counts = record.cases
    typer.echo(
        f"{counts.images} images of {counts.patients} patients scored, {counts.malignant_exams} of "
        f"{counts.exams} exams with a cancer; {counts.faults} faults, "
        f"{sum(counts.left_out.values())} left out, {counts.fitted_patients} patients whom the "
        "model was fitted to"
    )
    for sentence in counts.unknown:
        typer.echo(f"not certain: {sentence}")
    for check in record.checks:
        typer.echo(f"{'passed' if check.passed else 'NOT passed'}: {check}")
    power = record.levels[-1].power
    for drop, probability in power.detected if power is not None else ():
        typer.echo(f"a drop of {drop:g} of the AUC is seen with a probability of {probability:.0%}")
    verdict = "accepted" if record.accepted else "NOT accepted"
    typer.echo(f"{record.rules.model_name} is {verdict} by {record.rules.site}")
    typer.echo(f"record: {result.folder}/record.json ({record.signed_by[:16]})")
    typer.echo(f"page: {result.folder}/report.html")
    if result.output:
        typer.echo(f"published: {result.output}")
