"""The step in which challenger and champion score the same source images."""

from mammo_core.datasets import Manifest
from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.duel.kinds import DUEL, Contestant, DuelFacts, DuelState
from mammo_core.features.kinds import FRAME
from mammo_core.packaging.kinds import CANDIDATE
from mammo_core.registry import champion
from mammo_core.registry.candidates import is_version
from mammo_core.registry.versions import VersionRef
from mammo_core.steps.step import StepContext, step


@step("duel")
def duel(context: StepContext, tables: Manifest, frame: Manifest, candidate: Manifest) -> Manifest:
    """Score the test images with challenger and champion, each through its own package.

    Patients that either of them has seen are left out. Without a champion there is no duel.
    """
    recipe, store = context.recipe, context.store
    current = champion(store, recipe.model_name)
    facts = CANDIDATE.facts_of(candidate)
    state = _state(context, candidate, frame, current)
    config = {
        "state": state,
        "champion": current.model_id if current is not None else "",
        "version": current.version if current is not None else 0,
    }
    id = DUEL.content_id(config, [(m.kind, m.id) for m in (tables, frame, candidate)])

    def make(attempt: Attempt) -> Draft:
        from mammo_core.duel.run_duel import DuelInputs, lineage_of, make_duel
        from mammo_core.registry import open_candidate, open_package

        if state == "compared" and current is not None:
            inputs = DuelInputs(
                tables,
                frame,
                candidate,
                open_candidate(store, candidate),
                open_package(current.uri),
                recipe.source_files(),
            )
            return make_duel(attempt, id, config, inputs, context.say)
        challenger = Contestant(
            name="the challenger",
            model_id=facts.model_id,
            unit=facts.unit,
            aggregation=recipe.evaluation.aggregation,
        )
        return Draft(
            DUEL.manifest(
                id,
                config=config,
                facts=DuelFacts(state=state, challenger=challenger),
                lineage=lineage_of(candidate, frame, tables),
            )
        )

    manifest = context.reuse_or_make(DUEL, id, make)
    result = DUEL.facts_of(manifest)
    context.facts = {"duel": result.model_dump(mode="json")}
    if result.state != "compared":
        context.say(f"nothing to compare: {result.state}")
    return manifest


def _state(
    context: StepContext, candidate: Manifest, frame: Manifest, current: VersionRef | None
) -> DuelState:
    """Return whether there are two models to compare, or why not."""
    if FRAME.facts_of(frame).shuffled_labels:
        return "permuted labels"
    if current is None:
        return "no champion"
    if is_version(context.store, candidate, current):
        return "already the champion"
    return "compared"
