"""The steps that decide about a model and publish it."""

import json
from typing import Any

from mammo_core.datasets import Manifest, parse
from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.duel.kinds import DUEL, PACKAGE_SCORES, DuelFacts
from mammo_core.errors import ModelError, RunError
from mammo_core.packaging import signing_key
from mammo_core.packaging.chain import link_of
from mammo_core.packaging.kinds import CANDIDATE
from mammo_core.recipes import Recipe
from mammo_core.registry import champion
from mammo_core.registry.candidates import is_version
from mammo_core.registry.keys import released_key, version_uri
from mammo_core.registry.kinds import GATE, PUSH, GateFacts, PushFacts
from mammo_core.registry.release_decision import ReleaseDecision
from mammo_core.registry.version_files import released_by
from mammo_core.registry.versions import read_marker, read_package
from mammo_core.runs import Run
from mammo_core.steps.step import StepContext, step
from mammo_core.store import (
    MAXIMUM_NOTE_BYTES,
    Store,
    read_object,
    require_conditional_writes,
)


@step("gate")
def gate(context: StepContext, evaluation: Manifest, duel: Manifest) -> Manifest:
    """Decide whether the model may be pushed: good enough, and no worse than the champion.

    It compares what `duel` wrote, and needs no image and no model. A champion that changed since
    the duel is an error; one that changed since the start of a training from it is reported.
    """
    recipe, store = context.recipe, context.store
    require_conditional_writes(store)
    facts = DUEL.facts_of(duel)
    _check_champion(context, facts)
    if duel.lineage.get("evaluation") != evaluation.id:
        raise RunError(
            "The duel is not that of the evaluated model",
            expected=f"a duel of the evaluation {evaluation.id}",
            received=f"a duel of the evaluation {duel.lineage.get('evaluation')}",
        )
    config, settings = recipe.gate.model_dump(mode="json"), _settings(recipe)
    if facts.champion is not None and recipe.gate.plan is None:
        settings |= _plan_of_champion(context)
    id = GATE.content_id(settings, [(m.kind, m.id) for m in (evaluation, duel)])

    def make(attempt: Attempt) -> Draft:
        from mammo_core.duel.decision import decide_from_duel
        from mammo_core.duel.inputs import DecisionInputs

        inputs = DecisionInputs(
            name=recipe.model_name,
            evaluation=evaluation,
            duel=duel,
            gate=recipe.gate,
            config=recipe.evaluation,
            seed=recipe.seed,
        )
        result, files = decide_from_duel(store, inputs, attempt.folder(GATE.output(id)))
        return Draft(
            GATE.manifest(
                id,
                config=config,
                files=files,
                facts=GateFacts(
                    passed=result.passed, decision=result.decision, reasons=tuple(result.reasons)
                ),
                lineage={
                    "evaluation": evaluation.id,
                    "duel": duel.id,
                    "champion": facts.champion.model_id if facts.champion is not None else "",
                },
            ),
        )

    manifest = context.reuse_or_make(GATE, id, make)
    context.note(**_gate_facts(store, manifest))
    for reason in GATE.facts_of(manifest).reasons:
        context.say(reason)
    return manifest


def _check_champion(context: StepContext, facts: DuelFacts) -> None:
    """Fail where the duel was with another champion, and say where the training began from one."""
    recipe = context.recipe
    current = champion(context.store, recipe.model_name)
    start = recipe.image_training.start or ""
    prefix = version_uri(context.store, recipe.model_name, 0).removesuffix("0")
    if current is not None and start.startswith(prefix) and start != current.uri:
        context.note(champion_changed=f"{start} to {current.uri}")
        context.say(
            f"the champion changed since this run began: it is trained from {start} and compared "
            f"with {current.uri}"
        )
    if facts.state == "compared" and facts.champion is not None:
        # A run that is repeated has pushed its own.
        known = (facts.champion.model_id, facts.challenger.model_id)
        is_same = current is not None and current.model_id in known
    else:
        is_same = facts.state != "no champion" or current is None
    if not is_same:
        raise RunError(
            f"The champion of {recipe.model_name} changed after the duel",
            expected=f"{facts.champion.name if facts.champion else 'no champion'}, as in the duel",
            received=current.uri if current is not None else "no champion",
            hint="run it again: what is finished is reused, and the duel is with the new champion",
        )


@step("push")
def push(context: StepContext, candidate: Manifest, decision: Manifest) -> Manifest:
    """Publish the candidate as the next version of the model, signed, and as its champion."""
    verdict = GATE.facts_of(decision)
    if not verdict.passed:
        raise ModelError(
            "A model that did not pass the gate is not pushed",
            expected="a gate that passed",
            received="; ".join(verdict.reasons),
        )
    if decision.lineage.get("evaluation") != candidate.lineage["evaluation"]:
        raise RunError(
            "The decision is not about this candidate",
            expected=f"a decision about the evaluation {candidate.lineage['evaluation']}",
            received=f"a decision about the evaluation {decision.lineage.get('evaluation')}",
        )
    from mammo_core.registry.kubeflow import ModelRegistry

    recipe, store = context.recipe, context.store
    registry = ModelRegistry.from_environment()
    signing_key()  # a missing key fails before the package is fetched
    config = {"name": recipe.model_name}
    lineage = {name: candidate.lineage[name] for name in ("evaluation", "image_training")}

    def pushed() -> PushFacts | None:
        """The champion, if it is this very model."""
        current = champion(store, recipe.model_name)
        if current is None or not is_version(store, candidate, current):
            return None
        uri, version, model_id = current.uri, current.version, current.model_id
        return PushFacts(model_uri=uri, version=version, model_id=model_id)

    def id_of(facts: PushFacts) -> str:
        return PUSH.content_id({**config, "version": facts.version}, [("model", facts.model_id)])

    def search() -> Manifest | None:
        facts = pushed()
        return PUSH.find(store, id_of(facts)) if facts is not None else None

    def make(attempt: Attempt) -> Draft:
        facts = pushed() or _push(context, candidate, decision)
        return Draft(PUSH.manifest(id_of(facts), config=config, facts=facts, lineage=lineage))

    inputs = PUSH.content_id(config, lineage.items())
    manifest = context.search_or_make(f"{PUSH.folder}/of-{inputs}", search, make)
    facts = PUSH.facts_of(manifest)
    context.facts = facts.model_dump()
    if registry is not None:
        package = read_package(store, recipe.model_name, facts.version)
        signed_by = read_marker(store, recipe.model_name, facts.version).signed_by
        entry = registry.register(
            recipe.model_name, facts.version, facts.model_uri, package, signed_by
        )
        context.facts["registered"] = entry
        context.say(f"registered as {entry['model_version']} in the model registry")
    note = {
        "gate": decision.model_dump(mode="json"),
        "push": manifest.model_dump(mode="json"),
        "facts": _gate_facts(store, decision),
    }
    store.write(_note_of(recipe, candidate), json.dumps(note).encode())
    return manifest


def is_released(run: Run, recipe: Recipe, candidate: Manifest) -> bool:
    """Return whether this very model is the champion and has passed this gate; record it if so.

    Then there is nothing to decide and nothing to push: the statuses of `gate` and `push` are
    those of the run that pushed it. Only the registry is read, which the training may, too.

    Args:
        run: The record of the run.
        recipe: The resolved recipe; another gate is another decision.
        candidate: The package of the evaluated model.
    """
    store, note = run.store, _note_of(recipe, candidate)
    if not store.exists(note):
        return False
    record = read_object(store, note, MAXIMUM_NOTE_BYTES)
    decision, pushed = (parse(json.dumps(record[name]), note) for name in ("gate", "push"))
    current = champion(store, recipe.model_name)
    facts = PUSH.facts_of(pushed)
    if current is None or (current.version, current.model_id) != (facts.version, facts.model_id):
        return False
    for name, manifest, shown in (
        ("gate", decision, record["facts"]),
        ("push", pushed, facts.model_dump()),
    ):
        context = StepContext(name, run, recipe)
        context.facts = shown
        context.reuse(manifest)
        context.write_status("succeeded", counts=manifest.counts, output=manifest.key)
    context.say(f"already the champion: {facts.model_uri}")
    return True


def _settings(recipe: Recipe) -> dict[str, Any]:
    """What decides besides the evaluation and the duel."""
    return {
        **recipe.gate.model_dump(mode="json"),
        "seed": recipe.seed,
        "evaluation": recipe.evaluation.model_dump(mode="json"),
    }


def _gate_facts(store: Store, decision: Manifest) -> dict[str, Any]:
    return {"gate": read_object(store, decision.file("gate.json").key)}


def _note_of(recipe: Recipe, candidate: Manifest) -> str:
    """The key of the note about a push in the registry: which decision let it pass."""
    settings = {**_settings(recipe), "name": recipe.model_name}
    inputs = [(CANDIDATE.folder, candidate.id), ("evaluation", candidate.lineage["evaluation"])]
    return released_key(recipe.model_name, PUSH.content_id(settings, inputs))


def _plan_of_champion(context: StepContext) -> dict[str, str]:
    """What decides where a recipe names no plan: that of the champion, which stops the release."""
    current = champion(context.store, context.recipe.model_name)
    released = released_by(context.store, current) if current is not None else None
    plan = released.plan if released is not None else None
    return {"plan_of_champion": plan.digest} if plan is not None else {}


def _push(context: StepContext, candidate: Manifest, decision: Manifest) -> PushFacts:
    from mammo_core.registry import open_candidate
    from mammo_core.registry import push as push_package

    store = context.store
    package = open_candidate(store, candidate)
    pushed = push_package(
        store,
        package.folder,
        context.recipe.model_name,
        compared_with=decision.lineage["champion"],
        decision=_released(context, candidate, decision),
    )
    context.say(f"{'pushed' if pushed.new else 'reusing'} {pushed.uri}")
    model_id = CANDIDATE.facts_of(candidate).model_id
    return PushFacts(model_uri=pushed.uri, version=pushed.version, model_id=model_id)


def _released(context: StepContext, candidate: Manifest, decision: Manifest) -> ReleaseDecision:
    """What the signature of the version vouches for besides the model: how it was decided."""
    store, gate_config = context.store, context.recipe.gate
    fought = DUEL.read(store, decision.lineage["duel"])
    scores = [
        PACKAGE_SCORES.find(store, fought.lineage.get(name, ""))
        for name in ("challenger_scores", "champion_scores")
    ]
    outputs = [candidate, fought, *(each for each in scores if each is not None), decision]
    result = read_object(store, decision.file("gate.json").key)
    return ReleaseDecision(
        model_id=CANDIDATE.facts_of(candidate).model_id,
        champion=decision.lineage["champion"],
        decision=result["decision"],
        reasons=tuple(result["reasons"]),
        gate=gate_config.conditions(),
        plan=gate_config.plan,
        changes=tuple(result.get("changes", ())),
        links=tuple(link_of(store, each) for each in outputs),
    )
