"""What the training pipelines share: making data, training networks, releasing a version.

Each is a group of tasks with a page of its own in the graph. A loop of pods in a group is
optional: what no pod of it has done, the task after it does.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from kfp import dsl

import components as steps
from pipelines.platform import NodePlacement, on_platform


#: Outputs of the groups. KFP's local runner has conditions on an output named Output only.
class _Data(NamedTuple):
    data: dsl.Dataset
    networks: list


class _Evaluated(NamedTuple):
    evaluation: dsl.Artifact
    candidate: dsl.Model
    Output: bool


#: The box in which networks are trained, and the model is evaluated.
_TRAIN = "Train and evaluate"


def run_identity(store: Any, run_id: Any) -> dict[str, Any]:
    """Return the component arguments that identify the run.

    The id from Kubeflow Pipelines is an argument of its own because the driver replaces a
    placeholder only where it is the whole text.

    Args:
        store: URI of the object store.
        run_id: Name of the run; empty: the id from Kubeflow Pipelines.
    """
    return {
        "store": store,
        "run_id": run_id,
        "kfp_run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER,
    }


@dataclass(frozen=True)
class RunArguments:
    """The arguments that every group and every step of a run takes.

    Attributes:
        store: URI of the object store.
        run_id: Name of the run; empty: the id from Kubeflow Pipelines.
        recipe: Reference of the recipe, which `index` resolves for the other steps.
        recipe_digest: Digest of the resolved recipe, an output of `index`: a step that takes it
            starts after the recipe was written, and fails if the recipe was replaced.
    """

    store: Any
    run_id: Any
    recipe: Any
    recipe_digest: Any

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of a component."""
        identity = run_identity(self.store, self.run_id)
        return {**identity, "recipe": self.recipe, "recipe_digest": self.recipe_digest}

    @property
    def group_arguments(self) -> dict[str, Any]:
        """The keyword arguments of a group of tasks."""
        return {
            "store": self.store,
            "run_id": self.run_id,
            "recipe": self.recipe,
            "recipe_digest": self.recipe_digest,
        }


class RunStart(NamedTuple):
    """The first tasks of a run.

    Attributes:
        index: The task `index`, or `index-new`.
        check: The task `check-signing-key`, which the data wait for; None: there is none.
    """

    index: dsl.PipelineTask
    check: dsl.PipelineTask | None


def begin(
    identity: dict[str, Any], *, signed: bool, only_new: bool = False, **arguments: Any
) -> RunStart:
    """Resolve the recipe and index the source; beside that, check the key that signs the model.

    Only the push needs the key, days later, and only its role may have it. KFP lets no task wait
    for one in a condition, so the check is part of the pipeline or not.

    Args:
        identity: The store and the id of the run: see `run_identity`.
        signed: Whether the key is checked.
        only_new: Whether to find the images that the champion was not trained on.
        arguments: Further arguments of `index`.
    """
    check = None
    if signed:
        check = on_platform(steps.check_signing_key(**identity), "Check signing key")
        arguments["signed"] = True
    if only_new:
        task = on_platform(steps.index_new(**identity, **arguments), "Index and find new images")
    else:
        task = on_platform(steps.index(**identity, **arguments), "Index")
    return RunStart(task, check)


def data_group(parallelism: int) -> Any:
    """Return the group that converts the images, publishes and validates the frame, and samples.

    KFP allows no group to be defined in a pipeline.

    Args:
        parallelism: Number of partitions that are processed at the same time.
    """

    @dsl.pipeline(name="data", description="Image records, frame and patches.")
    def data(
        store: str,
        run_id: str,
        recipe: str,
        recipe_digest: str,
        partitions: list,
        tables: dsl.Input[dsl.Dataset],
    ) -> _Data:
        arguments = RunArguments(store, run_id, recipe, recipe_digest).arguments
        with dsl.ParallelFor(
            items=partitions, name="Convert partitions", parallelism=parallelism
        ) as partition:
            converted = on_platform(
                steps.convert_partition(**arguments, partition=partition, tables=tables),
                "Convert partition",
            )
        with dsl.ParallelFor(
            items=partitions, name="Sample partitions", parallelism=parallelism
        ) as partition:
            sampled = on_platform(
                steps.sample_partition(**arguments, partition=partition, tables=tables),
                "Sample partition",
            ).after(converted)
        prepared = on_platform(steps.prepare_data(**arguments, tables=tables), "Prepare data")
        prepared.after(sampled)
        return _Data(prepared.outputs["data"], prepared.outputs["Output"])

    return data


def make_data(group: Any, run: RunArguments, start: RunStart) -> dsl.PipelineTask:
    """Make the data; the outputs of the task are `data` and `networks`.

    Args:
        group: What `data_group` returned.
        run: The run.
        start: The first tasks of the run.
    """
    task = group(
        **run.group_arguments,
        partitions=start.index.outputs["partitions"],
        tables=start.index.outputs["tables"],
    )
    if start.check is not None:
        task.after(start.check)
    return task.set_display_name("Data")


def training_group(parallelism: int) -> Any:
    """Return the group that trains a patch and a whole-image classifier for each network.

    It also evaluates the model.

    Args:
        parallelism: Number of networks that are trained at the same time.
    """

    @dsl.pipeline(name="training", description="Trained networks and their evaluation.")
    def training(
        store: str,
        run_id: str,
        recipe: str,
        recipe_digest: str,
        gpu_count: str,
        gpu_type: str,
        node_selector: dict,
        tolerations: list,
        networks: list,
        regions: bool,
        data: dsl.Input[dsl.Dataset],
    ) -> _Evaluated:
        inner = RunArguments(store, run_id, recipe, recipe_digest)
        nodes = NodePlacement(gpu_type, gpu_count, node_selector, tolerations)
        arguments = {**inner.arguments, **nodes.arguments, "data": data}
        with dsl.ParallelFor(items=networks, name="Networks", parallelism=parallelism) as member:
            network = on_platform(
                steps.train_network(**arguments, member=member), "Train network", nodes
            )
        trained = on_platform(steps.train(**arguments), _TRAIN, nodes).after(network)
        with dsl.If(regions == True, name="Second stage"):  # noqa: E712
            networks_of_all = trained.outputs["networks"]
            on_platform(steps.regions(**arguments, networks=networks_of_all), "Second stage", nodes)
        return _evaluated(trained)

    return training


def continued_training_group() -> Any:
    """Return the group that trains from the model package of the recipe, and evaluates."""

    @dsl.pipeline(name="training", description="A trained network and its evaluation.")
    def training(
        store: str,
        run_id: str,
        recipe: str,
        recipe_digest: str,
        gpu_count: str,
        gpu_type: str,
        node_selector: dict,
        tolerations: list,
        data: dsl.Input[dsl.Dataset],
    ) -> _Evaluated:
        inner = RunArguments(store, run_id, recipe, recipe_digest)
        nodes = NodePlacement(gpu_type, gpu_count, node_selector, tolerations)
        arguments = {**inner.arguments, **nodes.arguments, "data": data}
        return _evaluated(on_platform(steps.train(**arguments, starts=True), _TRAIN, nodes))

    return training


def train_and_evaluate(
    group: Any, run: RunArguments, data: dsl.PipelineTask, placement: NodePlacement, **more: Any
) -> dsl.PipelineTask:
    """Train and evaluate.

    The outputs of the task are `evaluation`, `candidate` and `Output`: whether there is anything
    to release.

    Args:
        group: What `training_group` or `continued_training_group` returned.
        run: The run.
        data: The task that made the data.
        placement: The nodes and GPUs to train on.
        more: Further arguments of the group.
    """
    task = group(
        **run.group_arguments, **placement.group_arguments, data=data.outputs["data"], **more
    )
    return task.set_display_name("Training and evaluation")


def _evaluated(trained: dsl.PipelineTask) -> _Evaluated:
    """Return what the task that trains and evaluates hands to the release."""
    names = ("evaluation", "candidate", "Output")
    return _Evaluated(*(trained.outputs[name] for name in names))


def release(
    run: RunArguments,
    data: dsl.PipelineTask,
    evaluated: dsl.PipelineTask,
    placement: NodePlacement,
) -> None:
    """Let the model duel with the champion, and push it if it passes the gate.

    The group is skipped where the very model is the champion and has passed this gate before.

    Args:
        run: The run.
        data: The task that made the data.
        evaluated: The task that trained and evaluated the model.
        placement: The nodes and GPUs to score on.
    """
    with dsl.If(evaluated.outputs["Output"] == True, name="Release"):  # noqa: E712
        candidate = evaluated.outputs["candidate"]
        duel = on_platform(
            steps.duel(
                **run.arguments,
                **placement.arguments,
                data=data.outputs["data"],
                candidate=candidate,
            ),
            "Duel",
            placement,
        )
        on_platform(
            steps.release(
                **run.arguments,
                evaluation=evaluated.outputs["evaluation"],
                duel=duel.outputs["duel"],
                candidate=candidate,
            ),
            "Gate and push",
        )
