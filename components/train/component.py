"""Component `train`."""

from kfp import dsl

from components.container_images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def train(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    recipe_digest: str,
    data: dsl.Input[dsl.Dataset],
    networks: dsl.Output[dsl.Model],
    evaluation: dsl.Output[dsl.Artifact],
    candidate: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    roc: dsl.Output[dsl.ClassificationMetrics],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    starts: bool = False,
    gpu_count: str = "0",
    gpu_type: str = "nvidia.com/gpu",
) -> bool:
    """Train both classifiers, evaluate them on the test split, and build the package of the model.

    The networks that other pods have trained are found.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe.
        recipe_digest: Digest of the run's recipe, from `index`.
        data: The data, from `prepare-data`.
        networks: The trained classifiers of each network; several become one by their mean.
        evaluation: Predictions and numbers.
        candidate: The package of the model, unsigned.
        metrics: The numbers that runs are compared by.
        roc: ROC curve and confusion matrix on the test split.
        report: The report as one HTML page.
        summary: The results in short.
        starts: Whether training goes on from the model package that the recipe names.
        gpu_count: GPUs of the step.
        gpu_type: Resource name of the GPUs.

    Returns:
        Whether there is anything to release: not if this very model is the champion already.
    """
    from mammo_core.at_paths import pods, shown

    run = {
        "store": store,
        "run_id": run_id,
        "kfp_run_id": kfp_run_id,
        "recipe": recipe,
        "recipe_digest": recipe_digest,
        "gpu_count": gpu_count,
        "gpu_type": gpu_type,
    }
    networks.metadata.update(pods.train(data=data.path, out=networks.path, starts=starts, **run))
    evaluation_metadata, candidate_metadata, is_new = pods.evaluate(
        data=data.path,
        networks=networks.path,
        out=evaluation.path,
        candidate=candidate.path,
        **run,
    )
    evaluation.metadata.update(evaluation_metadata)
    candidate.metadata.update(candidate_metadata)
    shown.show_evaluation(store, evaluation.path, metrics, roc, report.path, summary.path)
    return is_new
