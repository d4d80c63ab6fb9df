"""The pipeline `score`: every mammogram of a bucket through a published model."""

from kfp import dsl

import components as steps
from pipelines.platform import NodePlacement, on_platform, run_limits
from pipelines.training_path import run_identity


def build(parallelism: int = 4) -> dsl.base_component.BaseComponent:
    """Build the pipeline.

    Args:
        parallelism: Has no effect here; the other pipelines use it.
    """

    @dsl.pipeline(
        name="mammo-score",
        display_name="Mammo: score",
        description="Score every mammogram under a URI with a published model. Research use only.",
        pipeline_config=run_limits(),
    )
    def score(
        model: str = "s3://mammo/models/phantom",
        source: str = "s3://mammo-sources/phantom",
        store: str = "s3://mammo-scores",
        on_request: bool = False,
        decide_unlike: bool = False,
        gpu_count: str = "0",
        gpu_type: str = "nvidia.com/gpu",
        node_selector: dict = {},  # noqa: B006 (KFP needs a plain default)
        tolerations: list = [],  # noqa: B006
        run_id: str = "",
    ) -> None:
        """Score every mammogram under a URI.

        Args:
            model: URI of the model, s3://bucket/prefix/models/name for its champion or
                .../models/name/version.
            source: URI of the mammograms, s3://bucket/prefix.
            store: URI of the object store that gets the scores, s3://bucket/prefix.
            on_request: Whether to score images that the model's policy scores on request only.
            decide_unlike: Whether images unlike the training images get a decision, too.
            gpu_count: GPUs of the step; 0 - score on the CPU.
            gpu_type: Resource name of the GPUs.
            node_selector: Labels of the node, for instance {"pool" - "gpu"} as JSON.
            tolerations: Taints that are tolerated, a JSON list as in a pod.
            run_id: Name of the run in the store; empty - the id from Kubeflow Pipelines.
        """
        identity = run_identity(store, run_id)
        placement = NodePlacement(gpu_type, gpu_count, node_selector, tolerations)
        finish = on_platform(
            # The record is stored with the scores, where the data role may not write.
            steps.summarize(**identity, recipe=""),
            "Summary",
            role="score",
        )
        with dsl.ExitHandler(finish, name="Run"):
            on_platform(
                steps.score(
                    **identity,
                    model=model,
                    source=source,
                    on_request=on_request,
                    decide_unlike=decide_unlike,
                    **placement.arguments,
                ),
                "Score",
                placement,
            )

    return score
