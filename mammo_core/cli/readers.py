"""`mammo readers`: studies with readers."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mammo_core.metrics import Interval
    from mammo_core.metrics.reader_study import StudyEstimate

app = typer.Typer(no_args_is_help=True, help="Studies with readers.")

_Table = Annotated[
    str, typer.Argument(metavar="TABLE", help="A CSV file: a path, file:// or s3:// URI.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.callback()
def _readers() -> None:
    """Compare readers and models."""


@app.command()
def study(table: _Table, as_json: _Json = False) -> None:
    """Compare modalities that several readers used on the same cases (MRMC).

    TABLE has a row for each case, reader and modality: case_id, label (0 or 1), reader, modality,
    score, and patient_id if a patient has several cases. Readers and cases are both random:
    Obuchowski and Rockette's analysis with Hillis' degrees of freedom.
    """
    from mammo_core.evaluation.readers.study import study_of_table

    named = study_of_table(table)
    result = named.result
    differences = {
        f"{named.modalities[one]} - {named.modalities[other]}": estimate
        for (one, other), estimate in result.differences.items()
    }
    if as_json:
        document = asdict(named)
        document["result"]["differences"] = {k: asdict(v) for k, v in differences.items()}
        typer.echo(json.dumps(document, indent=1))
        return
    typer.echo(
        f"{named.n_cases} cases ({named.n_malignant} malignant), {len(named.readers)} readers, "
        f"{len(named.modalities)} modalities"
    )
    for name, estimate in zip(named.modalities, result.modalities, strict=True):
        typer.echo(f"AUC with {name}: {_estimate(estimate)}")
    for name, estimate in differences.items():
        typer.echo(f"{name}: {_estimate(estimate)}, p {estimate.p_value:.4f}")
    one, other = result.degrees_of_freedom
    typer.echo(f"all equal: F {result.f:.3f} ({one:g} and {other:.2f}), p {result.p_value:.4f}")


@app.command()
def second(
    table: _Table,
    threshold: Annotated[
        float,
        typer.Option(min=0, max=1, help="Probability from which the model recalls."),
    ],
    as_json: _Json = False,
) -> None:
    """Simulate the model as second reader, from decisions that three readers made.

    TABLE has a row for each exam: case_id, label (0 or 1), first, second, third (1: recall),
    probability, and patient_id if a patient has several exams. Where two disagree, the third
    decides.
    """
    from mammo_core.evaluation.readers.second import second_reader

    result = second_reader(table, threshold)
    if as_json:
        typer.echo(json.dumps(asdict(result), indent=1))
        return
    typer.echo(f"{result.n_exams} exams, {result.n_malignant} with a cancer")
    for reading in result.readings:
        typer.echo(
            f"{reading.name}: sensitivity {reading.sensitivity}, specificity "
            f"{reading.specificity}, recall rate {reading.recall_rate}, arbitrations "
            f"{reading.arbitrations}, readings an exam {reading.reads}"
        )
    for name, difference in result.differences.items():
        typer.echo(f"with the model, {name.replace('_', ' ')}: {_signed(difference)}")


def _estimate(value: "StudyEstimate") -> str:
    return f"{value.value:.4f} ({value.low:.4f} to {value.high:.4f})"


def _signed(value: "Interval") -> str:
    return f"{value.value:+.3f} ({value.low:+.3f} to {value.high:+.3f})"
