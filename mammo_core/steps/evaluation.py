"""The steps that evaluate."""

import json

from mammo_core.datasets import Manifest
from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.evaluation.kinds import EVALUATION, REGIONS
from mammo_core.runs import read_start_packages
from mammo_core.steps.step import StepContext, step


@step("evaluate")
def evaluate(
    context: StepContext,
    images: Manifest,
    patches: Manifest,
    frame: Manifest,
    patch_training: Manifest,
    image_training: Manifest,
) -> Manifest:
    """Evaluate both classifiers on the test split and write the report."""
    from mammo_core.metrics import metric_names

    recipe, store = context.recipe, context.store
    settings = {
        **recipe.evaluation.model_dump(mode="json"),
        "metrics": metric_names(),
        "seed": recipe.seed,
    }
    sources = (images, patches, frame, patch_training, image_training)
    id = EVALUATION.content_id(settings, [(m.kind, m.id) for m in sources])

    def make(attempt: Attempt) -> Draft:
        from mammo_core.evaluation.classifiers import (
            EvaluationInputs,
            EvaluationOptions,
            make_evaluation,
        )
        from mammo_core.registry.lineage.contamination import require_unseen_test_patients

        require_unseen_test_patients(
            store, frame, patch_training, image_training, context.run.id, read_start_packages
        )
        inputs = EvaluationInputs(*sources)
        options = EvaluationOptions(
            recipe.name, recipe.evaluation, recipe.label_map, recipe.split, recipe.seed
        )
        return make_evaluation(attempt, id, settings, inputs, options, context.say)

    manifest = context.reuse_or_make(EVALUATION, id, make)
    note = EVALUATION.note("memos", id)
    if not store.exists(note):
        from mammo_core.evaluation.classifiers import publish_image_scores

        publish_image_scores(store, manifest, frame, model_id=image_training.id)
        store.write(note, json.dumps({"evaluation": id}).encode())
    summary = EVALUATION.facts_of(manifest).summary.model_dump(mode="json")
    # The role that summarizes may not read evaluations.
    context.facts = {**summary, "report": manifest.file("report.html").key}
    return manifest


@step("regions")
def regions(
    context: StepContext, images: Manifest, frame: Manifest, patch_training: Manifest
) -> Manifest:
    """Fit the second stage on the heatmaps of the patch classifier, per breast."""
    recipe = context.recipe
    replicates = recipe.evaluation.bootstrap_replicates
    settings = {
        **recipe.regions.model_dump(mode="json"),
        "replicates": replicates,
        "seed": recipe.seed,
    }
    inputs = [(m.kind, m.id) for m in (images, frame, patch_training)]
    id = REGIONS.content_id(settings, inputs)

    def make(attempt: Attempt) -> Draft:
        from mammo_core.evaluation.second_stage.make import SecondStageOptions, make_regions

        options = SecondStageOptions(
            recipe.name, recipe.regions, recipe.label_map, replicates, recipe.seed
        )
        return make_regions(
            attempt, id, settings, images, frame, patch_training, options, context.say
        )

    manifest = context.reuse_or_make(REGIONS, id, make)
    context.facts = REGIONS.facts_of(manifest).model_dump(exclude_none=True)
    return manifest
