"""The steps that decide about a model and publish it."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from mammo_core.datasets import Manifest, content_id, find, publish
from mammo_core.datasets.manifests import put_bytes
from mammo_core.datasets.tables import read_table
from mammo_core.errors import ModelError
from mammo_core.evaluation.aggregate import LEVELS, Unit
from mammo_core.evaluation.breasts import assign_probabilities, record_source
from mammo_core.evaluation.decisions import DecisionRules
from mammo_core.features.frame import IMAGE_CLASSES, frame_from_manifest
from mammo_core.packaging import PackageManifest, SigningKey, TrainingData
from mammo_core.packaging.training_data import training_data
from mammo_core.recipes import Recipe
from mammo_core.registry import GateResult, VersionRef, champion, versions
from mammo_core.registry import push as push_package
from mammo_core.registry.kubeflow import ModelRegistry
from mammo_core.sources.adapter import get_adapter
from mammo_core.steps.base import StepContext, step
from mammo_core.steps.data import TABLES
from mammo_core.steps.networks import (
    load_network,
    prepare_keras,
    training_preprocessing,
    unit_of_training,
)
from mammo_core.store import Store, require_conditional_writes

#: Raised by hand when the decision of the gate changes.
GATE_REVISION = 3
GATE = "gates"
PUSH = "pushes"


@step("gate")
def gate(
    context: StepContext,
    images: Manifest,
    frame: Manifest,
    image_training: Manifest,
    evaluation: Manifest,
) -> Manifest:
    """Decide whether the model may be pushed: good enough, and no worse than the champion."""
    recipe = context.recipe
    require_conditional_writes(context.store)
    rival = champion(context.store, recipe.model_name)
    same = rival is not None and _trained_as(context.store, rival, image_training, evaluation)
    config = recipe.gate.model_dump(mode="json")
    rival_id = rival.model_id if rival is not None else ""
    id = content_id(
        GATE,
        GATE_REVISION,
        {**config, "seed": recipe.seed, "champion": rival_id, "same": same},
        [(m.kind, m.id) for m in (frame, image_training, evaluation)],
    )

    def make() -> Manifest:
        mine = unit_of_training(image_training)
        result, theirs = _decide(context, rival, same, images, frame, evaluation, mine)
        data = json.dumps(result.model_dump(mode="json"), sort_keys=True, indent=1).encode()
        page = _comparison(context, result, rival, theirs, frame, evaluation)
        files = (
            put_bytes(context.store, f"{GATE}/{id}", "gate.json", data),
            put_bytes(context.store, f"{GATE}/{id}", "comparison.html", page.encode()),
        )
        return publish(
            context.store,
            Manifest(
                kind=GATE,
                id=id,
                revision=GATE_REVISION,
                config=config,
                files=files,
                facts={"passed": result.passed, "reasons": result.reasons},
                lineage={"evaluation": evaluation.id, "champion": rival_id},
            ),
        )

    manifest = context.find_or_make(GATE, id, make)
    context.facts = {
        "gate": json.loads(context.store.read(manifest.file("gate.json").key)),
    }
    for reason in manifest.facts["reasons"]:
        context.say(reason)
    return manifest


def _decide(
    context: StepContext,
    rival: VersionRef | None,
    same: bool,
    images: Manifest,
    frame: Manifest,
    evaluation: Manifest,
    unit: Unit,
) -> tuple[GateResult, Any]:
    """The decision, and the champion's predictions where there are any."""
    from mammo_core.registry import decide

    recipe = context.recipe
    ours = read_table(context.store, evaluation, "test.parquet")
    auc = float(evaluation.facts["summary"]["auc"])
    if evaluation.facts["shuffled_labels"]:
        reasons = ["labels were permuted: never pushed"]
        return GateResult(passed=False, reasons=reasons, auc=auc), None
    aggregation = recipe.evaluation.aggregation
    floor = decide(ours, None, recipe.gate, recipe.seed, unit=unit, aggregation=aggregation)
    if same:
        reasons = [floor.reasons[0], "already the champion"]
        return floor.model_copy(update={"reasons": reasons, "champion_auc": floor.auc}), None
    if rival is None:
        return floor, None
    theirs, obstacle, their_unit = _champion_predictions(context, rival, images, frame)
    if theirs is None:
        reasons = [floor.reasons[0], obstacle]
        return floor.model_copy(update={"passed": False, "reasons": reasons}), None
    result = decide(
        ours,
        theirs,
        recipe.gate,
        recipe.seed,
        champion_id=rival.model_id,
        unit="breast" if "breast" in (unit, their_unit) else "image",
        aggregation=aggregation,
    )
    if unit != their_unit:
        told = (
            f"judged per breast: the champion sees one {their_unit} at once, this model one {unit}"
        )
        result = result.model_copy(update={"reasons": [*result.reasons, told]})
    return result, theirs


def _comparison(
    context: StepContext,
    result: GateResult,
    rival: VersionRef | None,
    theirs: Any,
    frame: Manifest,
    evaluation: Manifest,
) -> str:
    """The page of the decision: against the champion where the two could be compared."""
    from mammo_core.evaluation import compare, decision_report
    from mammo_core.evaluation.report import comparison as comparison_report

    name = context.recipe.model_name
    verdict = "Passed the gate." if result.passed else "Did not pass the gate."
    reasons = [verdict, *(f"{reason[0].upper()}{reason[1:]}." for reason in result.reasons)]
    facts = {
        "Evaluation": evaluation.id,
        "Frame": frame.id,
        "Champion": rival.uri if rival is not None else "none",
    }
    if rival is None or theirs is None:
        return decision_report(f"{name}: gate", reasons, facts)
    found = compare(
        read_table(context.store, evaluation, "test.parquet"),
        theirs,
        context.recipe.evaluation,
        context.recipe.seed,
        names=("challenger", f"champion {name} {rival.version}"),
        levels=LEVELS if result.unit == "image" else LEVELS[1:],
    )
    return comparison_report(found, title=f"{name}: gate", facts=facts, reasons=reasons)


def _champion_predictions(
    context: StepContext, rival: VersionRef, images: Manifest, frame: Manifest
) -> tuple[Any, str, Unit]:
    """The champion's predictions on this frame's test split, or why there are none; its unit."""
    prepare_keras()
    from mammo_core.packaging import load
    from mammo_core.registry import resolve

    package = load(resolve(rival.uri))
    theirs = package.preprocessing.geometry.model_dump(mode="json")
    ours = images.facts["geometry"]
    if theirs != ours:
        obstacle = f"the champion takes images of another geometry: {theirs}, not {ours}"
        return None, obstacle, package.unit
    scored = context.recipe.evaluation  # both alike
    rows = frame_from_manifest(context.store, frame).split("test")
    source = record_source(context.store, images, rows, package.unit)
    if not source.size:
        return None, "the champion sees CC and MLO views, and the test split has none", package.unit
    scores: dict[str, float] = {}
    for batch in source.batches(0):
        found = package.predict(batch.pixels, flips=scored.flips, translation=scored.translation)
        scores.update(zip(batch.ids, map(float, found), strict=True))
    columns = ["image_id", "patient_key", "view_id", "laterality", "view", "label"]
    return assign_probabilities(rows[columns], scores, package.unit), "", package.unit


def _trained_as(
    store: Store, version: VersionRef, training: Manifest, evaluation: Manifest
) -> bool:
    """Whether a version in the registry came from this very training and evaluation."""
    lineage = version.lineage(store)
    ids = (lineage.get("image_training_id"), lineage.get("evaluation_id"))
    return ids == (training.id, evaluation.id)


@step("push")
def push(
    context: StepContext,
    images: Manifest,
    frame: Manifest,
    patch_training: Manifest,
    image_training: Manifest,
    evaluation: Manifest,
    decision: Manifest,
) -> Manifest:
    """Build the model package, check it in a fresh process, publish it as champion."""
    if not decision.facts["passed"]:
        raise ModelError(
            "A model that did not pass the gate is not pushed",
            expected="a gate that passed",
            received="; ".join(decision.facts["reasons"]),
        )
    recipe, store = context.recipe, context.store
    registry = ModelRegistry.from_environment()
    rival = champion(store, recipe.model_name)
    known = [
        version
        for version in versions(store, recipe.model_name)
        if _trained_as(store, version, image_training, evaluation)
    ]
    if known and rival is not None and rival.version == known[-1].version:
        uri, number, model_id = known[-1].uri, known[-1].version, known[-1].model_id
        context.found = True
        context.say(f"found {uri}")
    else:
        uri, number, model_id = _build_and_push(
            context, images, frame, patch_training, image_training, evaluation
        )
    context.facts = {"model_uri": uri, "version": number, "model_id": model_id}
    if registry is not None:
        key = f"models/{recipe.model_name}/{number}/package.json"
        registered = registry.register(
            recipe.model_name, number, uri, PackageManifest.model_validate_json(store.read(key))
        )
        context.facts |= {"registered": registered}
        context.say(f"registered as {registered['model_version']} in the model registry")
    return Manifest(
        kind=PUSH,
        id=model_id,
        revision=1,
        config={},
        files=(),
        facts=context.facts,
        lineage={"evaluation": evaluation.id, "image_training": image_training.id},
    )


def _build_and_push(
    context: StepContext,
    images: Manifest,
    frame: Manifest,
    patch_training: Manifest,
    image_training: Manifest,
    evaluation: Manifest,
) -> tuple[str, int, str]:
    prepare_keras()
    from mammo_core import packaging

    recipe, store = context.recipe, context.store
    lineage = {
        "recipe": recipe.name,
        "run_id": context.run_id,
        "git_sha": git_sha(),
        "tables_id": images.lineage["tables"],
        "image_dataset_id": images.id,
        "patch_dataset_id": evaluation.lineage["patches"],
        "frame_id": frame.id,
        "patch_training_id": patch_training.id,
        "image_training_id": image_training.id,
        "evaluation_id": evaluation.id,
    }
    metrics = json.loads(store.read(evaluation.file("metrics.json").key))
    with tempfile.TemporaryDirectory(prefix="mammo-package-") as aside:
        folder = Path(aside) / "package"
        built = packaging.build(
            folder,
            name=recipe.model_name,
            image_model=load_network(context, image_training),
            patch_model=load_network(context, patch_training),
            patch_classes=patch_training.facts["classes"],
            preprocessing=training_preprocessing(image_training),
            label_map={name: index for index, name in enumerate(IMAGE_CLASSES)},
            # The summary's plain numbers are what the model card shows.
            metrics={
                **evaluation.facts["summary"],
                "details": metrics,
            },
            lineage=lineage,
            patch_size=int(patch_training.facts["patch_size"]),
            rules=DecisionRules.model_validate_json(
                store.read(evaluation.file("decision_rules.json").key)
            ),
            training_data=_training_data(store, images, frame, recipe),
            exports=("saved_model", "onnx"),
            signing_key=SigningKey.from_environment(),
        )
        packaging.verify_in_new_process(folder)
        pushed = push_package(store, folder, recipe.model_name)
    context.say(f"{'pushed' if pushed.new else 'found'} {pushed.uri}")
    return pushed.uri, pushed.version, built.model_id


def _training_data(store: Store, images: Manifest, frame: Manifest, recipe: Recipe) -> TrainingData:
    tables = find(store, TABLES, images.lineage["tables"])
    return training_data(
        frame_from_manifest(store, frame),
        read_table(store, tables, "images.parquet") if tables is not None else None,
        source=recipe.source.adapter,
        recipe=recipe.name,
        license=get_adapter(recipe.source.adapter).license,
        weights=recipe.image_training.start or recipe.patch_training.network.weights,
        split=recipe.split.name,
    )


def git_sha() -> str:
    """The commit of this source tree, or MAMMO_GIT_SHA (the images set it), or `unknown`."""
    import os

    told = os.environ.get("MAMMO_GIT_SHA")
    if told:
        return told
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"
