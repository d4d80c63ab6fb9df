"""The pipeline `score`: every mammogram of a bucket through a published model."""

from kfp import dsl

import components as steps
from pipelines.platform import Placement, on_platform, run_limits


def build(parallelism: int = 4) -> dsl.base_component.BaseComponent:
    """Build the pipeline.

    Args:
        parallelism: Of no effect here; the other pipelines take it.
    """

    @dsl.pipeline(
        name="mammo-score",
        display_name="Mammo: score",
        description="Score every mammogram under a URI with a published model. Research use only.",
        pipeline_config=run_limits(),
    )
    def score(
        model: str,
        source: str,
        store: str = "s3://mammo",
        gpu_count: str = "0",
        gpu_type: str = "nvidia.com/gpu",
        node_selector: dict = {},  # noqa: B006 (KFP wants a plain default)
        tolerations: list = [],  # noqa: B006
        run_id: str = "",
    ) -> None:
        """Score every mammogram under a URI.

        Args:
            model: URI of the model, s3://bucket/prefix/models/name for its champion or
                .../models/name/version.
            source: URI of the mammograms, s3://bucket/prefix.
            store: URI of the object store that gets the scores, s3://bucket/prefix.
            gpu_count: GPUs of the step; 0 - score on the CPU.
            gpu_type: Resource name of the GPUs.
            node_selector: Labels of the node, for instance {"pool" - "gpu"} as JSON.
            tolerations: Taints that are tolerated, a JSON list as in a pod.
            run_id: Name of the run in the store; empty - KFP's own id.
        """
        ids = f"{run_id}@{dsl.PIPELINE_JOB_ID_PLACEHOLDER}"
        placement = Placement(gpu_type, gpu_count, node_selector, tolerations)
        finish = on_platform(steps.summarize(store=store, run_id=ids, recipe=""), "Summary")
        with dsl.ExitHandler(finish, name="run"):
            on_platform(
                steps.score(
                    store=store, run_id=ids, model=model, source=source, **placement.arguments
                ),
                "Score",
                placement,
            )

    return score
