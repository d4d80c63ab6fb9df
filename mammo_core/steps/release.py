"""The steps that decide about a model and publish it."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mammo_core.datasets import Manifest
from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.datasets.tables import read_table
from mammo_core.errors import ModelError
from mammo_core.evaluation.kinds import EVALUATION
from mammo_core.features.frame import IMAGE_CLASSES, frame_from_manifest
from mammo_core.models.backend import prepare_keras
from mammo_core.packaging import signing_key
from mammo_core.packaging.source_commit import git_sha
from mammo_core.recipes import Recipe
from mammo_core.registry import champion
from mammo_core.registry.kinds import GATE, PUSH, GateFacts, PushFacts
from mammo_core.registry.versions import VersionRef, read_marker, read_package
from mammo_core.sources.adapter import get_adapter
from mammo_core.sources.kinds import TABLES
from mammo_core.steps.step import StepContext, step
from mammo_core.store import Store, require_conditional_writes
from mammo_core.training.kinds import IMAGE_TRAINING, PATCH_TRAINING
from mammo_core.training.networks import load_network

if TYPE_CHECKING:
    from mammo_core.evaluation.aggregate import Unit
    from mammo_core.packaging import TrainingData


@step("gate")
def gate(
    context: StepContext,
    images: Manifest,
    frame: Manifest,
    image_training: Manifest,
    evaluation: Manifest,
) -> Manifest:
    """Decide whether the model may be pushed: good enough, and no worse than the champion."""
    recipe, store = context.recipe, context.store
    require_conditional_writes(store)
    current = champion(store, recipe.model_name)
    is_champion = current is not None and _is_trained_as(store, current, image_training, evaluation)
    config = recipe.gate.model_dump(mode="json")
    champion_id = current.model_id if current is not None else ""
    id = GATE.content_id(
        {**config, "seed": recipe.seed, "champion": champion_id, "is_champion": is_champion},
        [(m.kind, m.id) for m in (frame, image_training, evaluation)],
    )

    def make(attempt: Attempt) -> Draft:
        from mammo_core.registry.challenge import Challenge, judge

        challenge = Challenge(
            name=recipe.model_name,
            images=images,
            frame=frame,
            evaluation=evaluation,
            unit=unit_of_training(image_training),
            champion=current,
            is_champion=is_champion,
            gate=recipe.gate,
            config=recipe.evaluation,
            seed=recipe.seed,
        )
        result, files = judge(store, challenge, attempt.folder(GATE.output(id)))
        return Draft(
            GATE.manifest(
                id,
                config=config,
                files=files,
                facts=GateFacts(passed=result.passed, reasons=tuple(result.reasons)),
                lineage={"evaluation": evaluation.id, "champion": champion_id},
            ),
        )

    manifest = context.reuse_or_make(GATE, id, make)
    context.facts = {"gate": json.loads(store.read(manifest.file("gate.json").key))}
    for reason in GATE.facts_of(manifest).reasons:
        context.say(reason)
    return manifest


def unit_of_training(training: Manifest) -> "Unit":
    """Return what the whole-image network of a training takes at once."""
    return "image" if training.config.get("two_view") is None else "breast"


def _is_trained_as(
    store: Store, version: VersionRef, training: Manifest, evaluation: Manifest
) -> bool:
    """Whether a version in the registry was built from this training and evaluation."""
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
    """Build the model package, check it in a new process, and publish it as the champion."""
    verdict = GATE.facts_of(decision)
    if not verdict.passed:
        raise ModelError(
            "A model that did not pass the gate is not pushed",
            expected="a gate that passed",
            received="; ".join(verdict.reasons),
        )
    from mammo_core.registry.kubeflow import ModelRegistry

    recipe, store = context.recipe, context.store
    registry = ModelRegistry.from_environment()
    signing_key()  # a missing key fails before the package is built
    config = {"name": recipe.model_name}
    lineage = {"evaluation": evaluation.id, "image_training": image_training.id}

    def pushed() -> PushFacts | None:
        """The champion, if it is this very model."""
        current = champion(store, recipe.model_name)
        if current is None or not _is_trained_as(store, current, image_training, evaluation):
            return None
        uri, version, model_id = current.uri, current.version, current.model_id
        return PushFacts(model_uri=uri, version=version, model_id=model_id)

    def id_of(facts: PushFacts) -> str:
        return PUSH.content_id({**config, "version": facts.version}, [("model", facts.model_id)])

    def search() -> Manifest | None:
        facts = pushed()
        return PUSH.find(store, id_of(facts)) if facts is not None else None

    def make(attempt: Attempt) -> Draft:
        facts = pushed() or _build_and_push(
            context, images, frame, patch_training, image_training, evaluation
        )
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
    return manifest


def _build_and_push(
    context: StepContext,
    images: Manifest,
    frame: Manifest,
    patch_training: Manifest,
    image_training: Manifest,
    evaluation: Manifest,
) -> PushFacts:
    prepare_keras()
    from mammo_core import packaging
    from mammo_core.evaluation.decisions import DecisionRules
    from mammo_core.registry import push as push_package

    recipe, store = context.recipe, context.store
    patch_facts = PATCH_TRAINING.facts_of(patch_training)
    # The plain numbers of the summary are what the model card shows.
    metrics = {
        **EVALUATION.facts_of(evaluation).summary.model_dump(mode="json"),
        "details": json.loads(store.read(evaluation.file("metrics.json").key)),
    }
    with tempfile.TemporaryDirectory(prefix="mammo-package-") as temporary:
        folder = Path(temporary) / "package"
        package = packaging.build(
            folder,
            name=recipe.model_name,
            image_model=load_network(store, image_training),
            patch_model=load_network(store, patch_training),
            patch_classes=patch_facts.classes,
            preprocessing=IMAGE_TRAINING.facts_of(image_training).preprocessing,
            label_map={name: index for index, name in enumerate(IMAGE_CLASSES)},
            metrics=metrics,
            lineage={
                "recipe": recipe.name,
                "run_id": context.run.id,
                "git_sha": git_sha() or "unknown",
                "tables_id": images.lineage["tables"],
                "image_dataset_id": images.id,
                "patch_dataset_id": evaluation.lineage["patches"],
                "frame_id": frame.id,
                "patch_training_id": patch_training.id,
                "image_training_id": image_training.id,
                "evaluation_id": evaluation.id,
            },
            patch_size=patch_facts.patch_size,
            rules=DecisionRules.model_validate_json(
                store.read(evaluation.file("decision_rules.json").key)
            ),
            training_data=_training_data(store, images, frame, recipe),
            exports=("saved_model", "onnx"),
        )
        packaging.self_check_in_new_process(folder)
        pushed = push_package(store, folder, recipe.model_name)
    context.say(f"{'pushed' if pushed.new else 'reusing'} {pushed.uri}")
    return PushFacts(model_uri=pushed.uri, version=pushed.version, model_id=package.model_id)


def _training_data(
    store: Store, images: Manifest, frame: Manifest, recipe: Recipe
) -> "TrainingData":
    from mammo_core.packaging.training_data import training_data

    tables = TABLES.find(store, images.lineage["tables"])
    return training_data(
        frame_from_manifest(store, frame),
        read_table(store, tables, "images.parquet") if tables is not None else None,
        source=recipe.source.adapter,
        recipe=recipe.name,
        license=get_adapter(recipe.source.adapter).license,
        weights=recipe.image_training.start or recipe.patch_training.network.weights,
        split=recipe.split.name,
    )
