"""`mammo monitor`: watch a model in use."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mammo_core.cli.scoring_options import PublicKey

if TYPE_CHECKING:
    from mammo_core.registry.change_plan.plan import Monitoring

#: Exit code of a call that raised an alarm.
_ALARM = 3


def monitor(
    model: Annotated[
        str,
        typer.Option(
            metavar="URI",
            help="The model: a package folder, …/models/<name>/<version>, or …/models/<name> (its "
            "champion).",
        ),
    ],
    events: Annotated[
        str,
        typer.Option(
            metavar="URI",
            envvar="MAMMO_EVENTS",
            help="Where `score` and `serve` record events: s3://mammo-events, or a folder.",
        ),
    ],
    store: Annotated[
        str,
        typer.Option(
            metavar="URI", envvar="MAMMO_STORE", help="Store of what is known of the model so far."
        ),
    ] = "file://store",
    labels: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="CSV file of labels that are known by now: `label` and `image` or `exam`.",
        ),
    ] = "",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the page (HTML) to this file.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Probability of any alarm while nothing changes, for a new watch; default: 0.05, "
            "or that of the plan."
        ),
    ] = None,
    baseline: Annotated[
        int | None,
        typer.Option(
            help="First exams of each group that later ones are compared with, for a new watch; "
            "default: 200."
        ),
    ] = None,
    horizon: Annotated[
        int | None,
        typer.Option(help="Exams of a group that are expected, for a new watch; default: 10000."),
    ] = None,
    restart: Annotated[
        bool,
        typer.Option(
            "--restart",
            help="Begin a new watch: the first exams from now on are the reference, and all alarms "
            "are gone.",
        ),
    ] = False,
    on_alarm: Annotated[
        str,
        typer.Option(
            metavar="COMMAND",
            help="Run this command, once for the alarms of a call: "
            "'mammo pipeline run --pipeline retrain …'.",
        ),
    ] = "",
    plan: Annotated[
        str,
        typer.Option(
            metavar="FILE", help="Change-control plan that says how the model is to be watched."
        ),
    ] = "",
    public_key: PublicKey = None,
) -> None:
    """Watch a model in use: look at the events since the last call.

    Compares gray levels, scores and warnings of each vendor and kind of image with the first exams
    and with the training images and, where labels are known, scores and calibration. The page is in
    the store (monitoring/<model id>/report.html). The exit code is 3 if this call raised an alarm.
    """
    from mammo_core.monitoring.batches import open_event_store
    from mammo_core.monitoring.monitor import folder_of_model, note_retraining
    from mammo_core.monitoring.monitor import monitor as look
    from mammo_core.monitoring.on_alarm import alarms_to_act_on, split_command, start
    from mammo_core.monitoring.reference import ModelReference
    from mammo_core.progress import Progress
    from mammo_core.registry import open_package
    from mammo_core.store import open_store

    rules = _rules_of(plan) if plan else None
    command = split_command(on_alarm, rules) if on_alarm else []
    given = {"rate": rate, "baseline": baseline, "horizon": horizon}
    if rules is not None and rate is None:
        given["rate"] = rules.false_alarm_rate
    settings = {name: value for name, value in given.items() if value is not None}
    reference = ModelReference.of(open_package(model, public_key))
    bar: list[Progress] = []

    def report(done: int, total: int) -> None:
        if not bar:
            bar.append(Progress("monitor", total, "batches"))
        bar[0].advance(done - bar[0].done)

    target = open_store(store)
    result = look(
        reference,
        open_event_store(events),
        target,
        settings,
        labels=labels,
        restart=restart,
        progress=report,
    )
    for shown in bar:
        shown.close()
    if out is not None:
        out.write_text(result.page, encoding="utf-8")
    watch = result.watch
    typer.echo(
        f"{result.read} new events, {watch.events} of {reference.name} so far, in "
        f"{len(watch.groups)} groups; {result.labeled} with labels"
    )
    for note in result.notes:
        typer.echo(note)
    for alarm in watch.alarms:
        typer.echo(f"{'new alarm' if alarm in result.raised else 'alarm'}: {alarm.text}")
    if not watch.alarms:
        typer.echo("no alarm")
    typer.echo(f"page: {target.uri}/{folder_of_model(reference.model_id)}/report.html")
    due = alarms_to_act_on(watch.alarms, rules) if command else []
    if due:
        start(command)
        note_retraining(target, reference.model_id, due)
        typer.echo(f"started for {len(due)} alarms: {command[0]}")
    if result.raised:
        raise typer.Exit(_ALARM)


def _rules_of(plan: str) -> "Monitoring":
    from pydantic import ValidationError

    from mammo_core.errors import RecipeError
    from mammo_core.registry.change_plan.loading import read_plan
    from mammo_core.registry.change_plan.plan import ChangePlan

    try:
        return ChangePlan.model_validate(read_plan(plan)).monitoring
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise RecipeError(
            f"The change-control plan {plan} cannot be used",
            expected="the keys of docs/change-control.md",
            received=f"{first['msg']} at {'.'.join(map(str, first['loc'])) or 'the start'}",
        ) from error
