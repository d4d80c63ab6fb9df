"""The pipeline `train`: from a DICOM tree to a pushed model."""

from kfp import dsl

import components as steps
from pipelines.platform import NodePlacement, on_platform, run_limits
from pipelines.training_path import (
    RunArguments,
    begin,
    data_group,
    make_data,
    release,
    run_identity,
    train_and_evaluate,
    training_group,
)


def build(parallelism: int = 4, *, signed: bool = False) -> dsl.base_component.BaseComponent:
    """Build the pipeline.

    Args:
        parallelism: Number of partitions, or networks of an ensemble, processed at the same time.
        signed: Whether the signing key is checked before any work.
    """
    data_pods, training_pods = data_group(parallelism), training_group(parallelism)

    @dsl.pipeline(
        name="mammo-train",
        display_name="Mammo: train",
        description="From mammograms (DICOM) to an evaluated, versioned breast-cancer classifier.",
        pipeline_config=run_limits(),
    )
    def train(
        recipe: str = "phantom",
        store: str = "s3://mammo",
        source: str = "",
        settings: list = [],  # noqa: B006 (KFP needs a plain default)
        partitions: int = 0,
        regions: bool = False,
        gpu_count: str = "0",
        gpu_type: str = "nvidia.com/gpu",
        node_selector: dict = {},  # noqa: B006
        tolerations: list = [],  # noqa: B006
        run_id: str = "",
    ) -> None:
        """Index, convert, publish, validate, sample, train twice, evaluate, duel, gate, push.

        Args:
            recipe: Name of a recipe in the container image (phantom, cbis_ddsm_resnet50_s10, ...),
                or the URI of one in a store.
            store: URI of the object store, s3://bucket/prefix.
            source: URI of the mammograms, s3://bucket/prefix; empty - the recipe's own, or of the
                name of its folder in s3://mammo-sources.
            settings: Overrides of the recipe, for instance ["gate.min_auc=0.75"].
            partitions: How many pods divide conversion and sampling between them; 0 - as many as
                the bytes of the images are worth.
            regions: Also fit the second stage, a forest over regions of the heatmaps.
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
            )
            run = RunArguments(store, run_id, recipe, start_tasks.index.outputs["recipe_digest"])
            data = make_data(data_pods, run, start_tasks)
            evaluated = train_and_evaluate(
                training_pods,
                run,
                data,
                placement,
                networks=data.outputs["networks"],
                regions=regions,
            )
            release(run, data, evaluated, placement)

    return train
