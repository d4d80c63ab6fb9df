"""Reports of runs and steps to trackers."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mammo_core.datasets import Manifest
from mammo_core.errors import MammoError
from mammo_core.recipes import Recipe
from mammo_core.runs import Run
from mammo_core.store import Store
from mammo_core.tracking.config import TrackingConfig
from mammo_core.tracking.events import RunEnd, StepEnd, StepStart, TrackedRun, numbers_of
from mammo_core.tracking.report import Report
from mammo_core.training.kinds import IMAGE_TRAINING, PATCH_TRAINING

if TYPE_CHECKING:
    from mammo_core.steps.step import StepContext


def start_run(run: Run, recipe: Recipe, say: Callable[[str], None]) -> None:
    """Report the start of a run.

    Args:
        run: The record of the run.
        recipe: Its resolved recipe.
        say: Prints a line.
    """
    Report(recipe.tracking, say).run_started(_tracked(run, recipe))


def end_run(run: Run, summary: Mapping[str, Any], say: Callable[[str], None]) -> None:
    """Report the end of a run.

    Args:
        run: The record of the run.
        summary: Its summary.
        say: Prints a line.
    """
    try:
        recipe = run.recipe() if run.has_recipe else None
    except MammoError:  # of another version, or another run's
        recipe = None
    tracked = _tracked(run, recipe)
    end = RunEnd(tracked, str(summary["state"]), numbers_of(summary), time.time())
    Report(_config(recipe), say).run_ended(end)


def run_tracked(
    context: "StepContext",
    recipe: Recipe | None,
    inputs: Mapping[str, Any],
    work: Callable[[], Manifest],
) -> Manifest:
    """Do the work of a step, and report its start and its end.

    Args:
        context: The context of the step.
        recipe: The resolved recipe; None for a step that needs none.
        inputs: The manifests and texts that go in.
        work: Does the work.
    """
    report = Report(_config(recipe), context.say)
    if not report.has_trackers:
        return work()
    start = StepStart(
        run=_tracked(context.run, recipe),
        step=context.name,
        attempt=context.attempt,
        inputs=tuple(_manifests(inputs.values())),
        started=context.started,
    )
    report.step_started(start)
    try:
        manifest = work()
    except (Exception, SystemExit) as error:
        report.step_ended(_end(context, start, None, type(error).__name__))
        raise
    output = None if context.partition else manifest  # a partition publishes nothing
    report.step_ended(_end(context, start, output, ""))
    return manifest


def _end(context: "StepContext", start: StepStart, output: Manifest | None, error: str) -> StepEnd:
    return StepEnd(
        start=start,
        state="failed" if error else "succeeded",
        output=output,
        reused=context.reused,
        facts=context.facts,
        history=_history(context.store, output),
        error=error,
        ended=time.time(),
    )


def _history(store: Store, output: Manifest | None) -> list[dict[str, Any]]:
    if output is None or output.kind not in (PATCH_TRAINING.folder, IMAGE_TRAINING.folder):
        return []
    from mammo_core.training.networks import has_history, read_history

    return read_history(store, output) if has_history(output) else []


def _config(recipe: Recipe | None) -> TrackingConfig:
    return TrackingConfig() if recipe is None else recipe.tracking


def _tracked(run: Run, recipe: Recipe | None) -> TrackedRun:
    return TrackedRun(
        id=run.id,
        store=run.store.uri,
        write=run.write_lineage,
        recipe="" if recipe is None else recipe.name,
        parameters={} if recipe is None else recipe.model_dump(mode="json"),
    )


def _manifests(values: Iterable[Any]) -> Iterable[Manifest]:
    for value in values:
        if isinstance(value, Manifest):
            yield value
        elif isinstance(value, list | tuple):
            yield from _manifests(value)
