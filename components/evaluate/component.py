"""Component `evaluate`."""

from kfp import dsl

from components.container_images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def evaluate(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    recipe_digest: str,
    images: dsl.Input[dsl.Dataset],
    patches: dsl.Input[dsl.Dataset],
    frame: dsl.Input[dsl.Dataset],
    patch_training: dsl.Input[dsl.Model],
    image_training: dsl.Input[dsl.Model],
    evaluation: dsl.Output[dsl.Artifact],
    candidate: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    roc: dsl.Output[dsl.ClassificationMetrics],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    gpu_count: str = "0",
    gpu_type: str = "nvidia.com/gpu",
) -> None:
    """Evaluate both classifiers on the test split, write the report, and build the package.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe.
        recipe_digest: Digest of the run's recipe, from `index`.
        images: The image dataset.
        patches: The patch dataset.
        frame: The frame.
        patch_training: The patch classifier.
        image_training: The whole-image classifier.
        evaluation: Predictions and numbers.
        candidate: The package of the model, unsigned.
        metrics: The numbers that runs are compared by.
        roc: ROC curve and confusion matrix on the test split.
        report: The report as one HTML page.
        summary: The results in short.
        gpu_count: GPUs of the step.
        gpu_type: Resource name of the GPUs.
    """
    from mammo_core import at_paths

    at_paths.report_gpus("evaluate", gpu_count, gpu_type)
    evaluation.metadata.update(
        at_paths.evaluate(
            store=store,
            run_id=run_id,
            kfp_run_id=kfp_run_id,
            recipe=recipe,
            recipe_digest=recipe_digest,
            images=images.path,
            patches=patches.path,
            frame=frame.path,
            patch_training=patch_training.path,
            image_training=image_training.path,
            out=evaluation.path,
            candidate_out=candidate.path,
        )
    )
    at_paths.show_evaluation(store, evaluation.path, metrics, roc, report.path, summary.path)
