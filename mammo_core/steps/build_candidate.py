"""The step that builds the package of a trained and evaluated model."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mammo_core.datasets import Manifest
from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.datasets.tables import read_table
from mammo_core.evaluation.kinds import EVALUATION
from mammo_core.features.frame import IMAGE_CLASSES, frame_from_manifest
from mammo_core.models.backend import prepare_keras
from mammo_core.packaging.kinds import CANDIDATE, CandidateFacts
from mammo_core.packaging.source_commit import git_sha
from mammo_core.recipes import Recipe
from mammo_core.sources.adapter import get_adapter
from mammo_core.sources.kinds import TABLES
from mammo_core.steps.step import StepContext, step
from mammo_core.store import Store, read_object
from mammo_core.training.kinds import IMAGE_TRAINING, PATCH_TRAINING
from mammo_core.training.networks import load_network

if TYPE_CHECKING:
    from mammo_core.packaging import TrainingData
    from mammo_core.packaging.patient_list import PatientList


@step("build-candidate")
def build_candidate(
    context: StepContext,
    images: Manifest,
    frame: Manifest,
    patch_training: Manifest,
    image_training: Manifest,
    evaluation: Manifest,
) -> Manifest:
    """Build the package of the model, unsigned, and check it in a new process.

    `duel` scores with it, and `push` publishes its files.
    """
    recipe = context.recipe
    settings = {
        "name": recipe.model_name,
        "recipe": recipe.name,
        "source": recipe.source.adapter,
        "weights": _weights(recipe),
        "split": recipe.split.name,
    }
    inputs = [(m.kind, m.id) for m in (images, frame, patch_training, image_training, evaluation)]
    id = CANDIDATE.content_id(settings, [*inputs, (TABLES.folder, images.lineage["tables"])])

    def lineage() -> dict[str, Any]:
        return _lineage(context, images, frame, patch_training, image_training, evaluation)

    def make(attempt: Attempt) -> Draft:
        prepare_keras()
        from mammo_core import packaging
        from mammo_core.evaluation.decisions import DecisionRules
        from mammo_core.packaging.candidate import put_package

        store = attempt.store
        patch_facts = PATCH_TRAINING.facts_of(patch_training)
        facts = EVALUATION.facts_of(evaluation)
        # The plain numbers of the summary are what the model card shows.
        metrics = {
            **facts.summary.model_dump(mode="json"),
            "details": read_object(store, evaluation.file("metrics.json").key),
        }
        origins = lineage()
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
                lineage=origins,
                patients=_patient_list(context, frame, origins),
                patch_size=patch_facts.patch_size,
                rules=DecisionRules.model_validate_json(
                    store.read(evaluation.file("decision_rules.json").key)
                ),
                training_data=_training_data(store, images, frame, recipe),
                # A model of permuted labels is never pushed.
                exports=() if facts.shuffled_labels else ("saved_model", "onnx"),
            )
            if not facts.shuffled_labels:
                packaging.self_check_in_new_process(folder)
            files = put_package(store, attempt.folder(CANDIDATE.output(id)), folder)
        return Draft(
            CANDIDATE.manifest(
                id,
                config=settings,
                files=files,
                facts=CandidateFacts(
                    model_id=package.model_id, name=package.name, unit=package.unit
                ),
                lineage={
                    "images": images.id,
                    "frame": frame.id,
                    "patch_training": patch_training.id,
                    "image_training": image_training.id,
                    "evaluation": evaluation.id,
                },
            )
        )

    manifest = context.reuse_or_make(CANDIDATE, id, make)
    context.facts = CANDIDATE.facts_of(manifest).model_dump()
    return manifest


def _lineage(
    context: StepContext,
    images: Manifest,
    frame: Manifest,
    patch_training: Manifest,
    image_training: Manifest,
    evaluation: Manifest,
) -> dict[str, Any]:
    """Return the lineage of the package, with every frame that it was fitted to.

    Only this step reads trainings: whoever compares the package later cannot.
    """
    from mammo_core.registry.ancestry import ancestry_of
    from mammo_core.runs import read_start_packages

    lineage = {
        "recipe": context.recipe.name,
        "run_id": context.run.id,
        "git_sha": git_sha() or "unknown",
        "tables_id": images.lineage["tables"],
        "image_dataset_id": images.id,
        "patch_dataset_id": evaluation.lineage["patches"],
        "frame_id": frame.id,
        "patch_training_id": patch_training.id,
        "image_training_id": image_training.id,
        "evaluation_id": evaluation.id,
    }
    origin = ancestry_of("the package", lineage, context.store, read_start_packages)
    return {
        **lineage,
        "fitted_frames": sorted(fitted.id for fitted in origin.frames),
        "fitted_unknown": list(origin.unknown),
    }


def _patient_list(context: StepContext, frame: Manifest, lineage: dict[str, Any]) -> "PatientList":
    """Return the patients of the package and of the models before it, as keyed digests."""
    from mammo_core.packaging.patient_list import patient_list
    from mammo_core.registry.ancestry import ancestry_of, recorded_site_key
    from mammo_core.runs import read_start_packages

    origin = ancestry_of("the package", lineage, context.store, read_start_packages)
    return patient_list(
        frame.id,
        frame_from_manifest(context.store, frame).images,
        [fitted.images for fitted in origin.frames if fitted.id != frame.id],
        site_key=recorded_site_key([context.store], frame),
        unknown=origin.unknown,
    )


def _weights(recipe: Recipe) -> str:
    return recipe.image_training.start or recipe.patch_training.network.weights


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
        weights=_weights(recipe),
        split=recipe.split.name,
    )
