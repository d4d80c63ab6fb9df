"""The pipeline `transfer`: from a published model to another data set with few labels."""

from kfp import dsl

import components as steps
from pipelines.platform import NodePlacement, on_platform, run_limits
from pipelines.training_path import (
    RunArguments,
    begin,
    continued_training_group,
    data_group,
    make_data,
    release,
    run_identity,
    train_and_evaluate,
)


def build(parallelism: int = 4, *, signed: bool = False) -> dsl.base_component.BaseComponent:
    """Build the pipeline.

    Args:
        parallelism: Number of partitions that are processed at the same time.
        signed: Whether the signing key is checked before any work.
    """
    data_pods, training_pods = data_group(parallelism), continued_training_group()

    @dsl.pipeline(
        name="mammo-transfer",
        display_name="Mammo: transfer",
        description="Fine-tune a published model end to end on another data set, with its own "
        "mean and scale.",
        pipeline_config=run_limits(),
    )
    def transfer(
        start: str = "s3://mammo/models/phantom",
        recipe: str = "phantom",
        store: str = "s3://mammo",
        source: str = "",
        settings: list = [],  # noqa: B006 (KFP needs a plain default)
        partitions: int = 0,
        gpu_count: str = "0",
        gpu_type: str = "nvidia.com/gpu",
        node_selector: dict = {},  # noqa: B006
        tolerations: list = [],  # noqa: B006
        run_id: str = "",
    ) -> None:
        """Index, convert, publish, validate, sample, fine-tune, evaluate, duel, gate, push.

        Args:
            start: URI of the model to start from, s3://bucket/prefix/models/name or
                .../models/name/version.
            recipe: Name of a recipe in the container image, or the URI of one in a store.
            store: URI of the object store, s3://bucket/prefix.
            source: URI of the mammograms, s3://bucket/prefix; empty - the recipe's own, or of the
                name of its folder in s3://mammo-sources.
            settings: Overrides of the recipe, for instance ["gate.min_auc=0.75"].
            partitions: How many pods divide conversion and sampling between them; 0 - as many as
                the bytes of the images are worth.
            gpu_count: GPUs of each training step; 0 - train on the CPU.
            gpu_type: Resource name of the GPUs.
            node_selector: Labels of the nodes that train, for instance {"pool" - "gpu"} as JSON.
            tolerations: Taints that training tolerates, a JSON list as in a pod.
            run_id: Name of the run in the store; empty - the id from Kubeflow Pipelines.
        """
        identity = run_identity(store, run_id)
        placement = NodePlacement(gpu_type, gpu_count, node_selector, tolerations)
        finish = on_platform(steps.summarize(**identity, recipe=recipe), "Summary")
        with dsl.ExitHandler(finish, name="Run"):
            start_tasks = begin(
                identity,
                signed=signed,
                recipe=recipe,
                source=source,
                settings=settings,
                partitions=partitions,
                start=start,
            )
            run = RunArguments(store, run_id, recipe, start_tasks.index.outputs["recipe_digest"])
            data = make_data(data_pods, run, start_tasks)
            evaluated = train_and_evaluate(training_pods, run, data, placement)
            release(run, data, evaluated, placement)

    return transfer
