"""Component `score`."""

from kfp import dsl

from components.container_images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def score(
    store: str,
    run_id: str,
    kfp_run_id: str,
    model: str,
    source: str,
    scores: dsl.Output[dsl.Dataset],
    report: dsl.Output[dsl.HTML],
    on_request: bool = False,
    decide_unlike: bool = False,
    gpu_count: str = "0",
    gpu_type: str = "nvidia.com/gpu",
) -> None:
    """Score every mammogram under a URI with a published model.

    Args:
        store: URI of the object store, which also gets the scores.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        model: URI of a model package, or of a model for its champion.
        source: URI of the mammograms.
        scores: Scores and rejects.
        report: What was scored, as one HTML page.
        on_request: Whether to score images that the model's policy scores on request only.
        decide_unlike: Whether images unlike the training images get a decision, too.
        gpu_count: GPUs of the step.
        gpu_type: Resource name of the GPUs.
    """
    from mammo_core.at_paths import pods

    scores.metadata.update(
        pods.score(
            store=store,
            run_id=run_id,
            kfp_run_id=kfp_run_id,
            model=model,
            source=source,
            on_request=on_request,
            decide_unlike=decide_unlike,
            out=scores.path,
            report=report.path,
            gpu_count=gpu_count,
            gpu_type=gpu_type,
        )
    )
