"""`mammo reproduce`: recompute the numbers of a claim."""

from pathlib import Path
from typing import Annotated

import typer


def reproduce(
    claim: Annotated[str, typer.Argument(help="Name of a claim of the project, or its file.")],
    store: Annotated[
        str, typer.Option(help="URI of the store of a repeated training: within the tolerance.")
    ] = "",
    evaluation: Annotated[
        str, typer.Option(help="Id of its evaluation; default: the only one of the store.")
    ] = "",
    result: Annotated[
        Path | None,
        typer.Option(help="result.json of a repeated experiment: within the tolerance."),
    ] = None,
) -> None:
    """Recompute the numbers of a claim; exit code 1 if one of them differs.

    Without options, from the predictions that are stored beside the claim, exactly. After a
    repeated training (the claim's command), from its own predictions, within the claim's
    tolerance.
    """
    from mammo_core.documents import read_bounded
    from mammo_core.errors import RecordError
    from mammo_core.experiments import claims
    from mammo_core.sources.identity.forgotten import forgotten_patients
    from mammo_core.store import open_store

    stated, folder = claims.read_claim(claim)
    if result is not None:
        computed = claims.measure_result(read_bounded(result, _LARGEST_RESULT))
        rows = claims.compare_measures(stated, computed, exact=False)
    elif store:
        opened = open_store(store)
        if stated.predictions:
            text = (folder / stated.predictions).read_text()
            keys = set(claims.predictions_from_csv(text)["patient_key"])
            if forgotten_patients(opened, keys):
                typer.echo("patient withdrawn: the claim rests on predictions of her images")
        measured = claims.measure_evaluation(opened, evaluation, stated.seed)
        rows = claims.compare_measures(stated, measured, exact=False)
    else:
        rows = claims.recompute(stated, folder)
    for row in rows:
        limit = "not compared" if row.tolerance is None else f"within {row.tolerance:g}"
        typer.echo(
            f"{'ok  ' if row.holds else 'FAIL'} {row.measure}: stated {row.stated:.7g}, "
            f"computed {row.computed:.7g} ({limit})"
        )
    failed = [row for row in rows if not row.holds]
    if failed:
        raise RecordError(
            f"{len(failed)} of {len(rows)} numbers of the claim {stated.name} do not hold",
            expected=", ".join(f"{row.measure} {row.stated:.7g}" for row in failed),
            received=", ".join(f"{row.computed:.7g}" for row in failed),
            hint=f"the claim was measured by: {stated.command}",
        )


_LARGEST_RESULT = 10_000_000
