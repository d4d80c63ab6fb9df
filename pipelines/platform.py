"""Images, resources, GPUs, secrets, retries, time limits and caching of the steps, in one place."""

from dataclasses import dataclass
from typing import Any

from kfp import dsl, kubernetes

#: Secrets with the endpoint and the credentials of the object store, one for each role.
DATA_SECRET = "mammo-s3-data"
TRAIN_SECRET = "mammo-s3-train"
SCORE_SECRET = "mammo-s3-score"
#: Secret with the key that makes patient keys, read by `index` alone.
SITE_SECRET = "mammo-site-key"
#: Secret with the key that model packages are signed with, read by `push` alone.
SIGNING_SECRET = "mammo-signing-key"
#: Secret with the address and the password of Feast's online store, read by
#: `publish-features` alone; without it nothing comes online.
ONLINE_SECRET = "mammo-online"

_STORE_SECRETS = {"data": DATA_SECRET, "train": TRAIN_SECRET, "score": SCORE_SECRET}
_STORE_KEYS = {
    name: name
    for name in (
        "MAMMO_S3_ENDPOINT",
        "MAMMO_S3_ACCESS_KEY",
        "MAMMO_S3_SECRET_KEY",
        "MAMMO_S3_REGION",
    )
}
#: The user of the images.
USER = 10001
#: Where a step may write (TMPDIR and HOME of the images): the root need not be writable.
_SCRATCH = "/scratch"
_HOUR = 3600
_RETRIES = 2
_BACKOFF_S = 30


@dataclass(frozen=True)
class StepPlatform:
    """What a step asks of the cluster.

    Attributes:
        role: `data`, `train` or `score`: which Secret it gets.
        cpu: Cores it must have; it may use all that are free.
        memory: Memory it must have.
        memory_limit: Memory at which it is ended.
        hours: Its time limit.
        retried: Whether its faults are mostly of network and disk: worth trying again.
        gpu: Whether it runs on a GPU where the run has some.
    """

    role: str = "data"
    cpu: str = "500m"
    memory: str = "1G"
    memory_limit: str = "4G"
    hours: int = 4
    retried: bool = True
    gpu: bool = False


# Requests fit the phantom on a small node; limits have room for 1152x896 images.
_STEPS = {
    "index": StepPlatform(),
    "find-new": StepPlatform(memory_limit="2G", hours=1),
    "convert-partition": StepPlatform(memory_limit="6G", hours=24),
    "convert": StepPlatform(memory_limit="6G", hours=24),
    "publish-features": StepPlatform(hours=2),
    "validate-data": StepPlatform(memory_limit="2G", hours=1),
    "sample-partition": StepPlatform(memory_limit="6G", hours=24),
    "sample": StepPlatform(memory_limit="6G", hours=24),
    "start-from": StepPlatform("train", memory="2G", hours=1),
    "train-patch": StepPlatform("train", memory="2G", memory_limit="32G", hours=72, gpu=True),
    "train-image": StepPlatform("train", memory="2G", memory_limit="48G", hours=72, gpu=True),
    "combine": StepPlatform("train", memory="2G", memory_limit="16G", hours=1),
    "evaluate": StepPlatform("train", memory="2G", memory_limit="16G", hours=12, gpu=True),
    "regions": StepPlatform("train", memory="2G", memory_limit="16G", hours=12, gpu=True),
    "gate": StepPlatform("train", memory="2G", memory_limit="16G", hours=6, gpu=True),
    "push": StepPlatform("train", memory="2G", memory_limit="16G", hours=2),
    "score": StepPlatform("score", memory="2G", memory_limit="16G", hours=24, gpu=True),
    "summarize": StepPlatform(memory="500M", memory_limit="2G", hours=1),
}


def run_limits() -> dsl.PipelineConfig:
    """What holds for a whole run: a week at most, its pods are removed a week after its end."""
    return dsl.PipelineConfig(
        ttl_seconds_after_finished=7 * 24 * _HOUR, active_deadline_seconds=7 * 24 * _HOUR
    )


@dataclass(frozen=True)
class NodePlacement:
    """Where the steps with a GPU run; each value a parameter of the pipeline.

    Attributes:
        gpu_type: Resource name, for instance nvidia.com/gpu.
        gpu_count: Number of them; a text, as KFP's driver takes only texts here; 0: CPU only.
        node_selector: Labels that the node must have.
        tolerations: Taints that are tolerated.
    """

    gpu_type: Any
    gpu_count: Any
    node_selector: Any
    tolerations: Any

    @property
    def arguments(self) -> dict[str, Any]:
        """As keyword arguments of a component that may run on a GPU.

        KFP's compiler hands parameters into loops and conditions only where a task takes them.
        """
        return {"gpu_count": self.gpu_count, "gpu_type": self.gpu_type}


def on_platform(
    task: dsl.PipelineTask,
    display_name: str,
    placement: NodePlacement | None = None,
    role: str | None = None,
) -> dsl.PipelineTask:
    """Give a task its name, resources, secrets, limits and retries, and turn KFP's cache off.

    A step looks its output up in the store by content address; KFP's cache knows image
    references by name only and would return outputs of other code.

    Args:
        task: A step of the pipeline.
        display_name: Its name in the graph.
        placement: Where steps with a GPU run.
        role: `data`, `train` or `score` instead of the step's own.
    """
    platform = _STEPS[task.component_spec.name]
    task.set_display_name(display_name).set_caching_options(False)
    task.set_cpu_request(platform.cpu)
    task.set_memory_request(platform.memory).set_memory_limit(platform.memory_limit)
    if platform.retried:
        task.set_retry(
            _RETRIES,
            backoff_duration=f"{_BACKOFF_S}s",
            backoff_factor=2.0,
            backoff_max_duration=f"{_attempts_seconds(platform.hours)}s",
        )
    kubernetes.set_timeout(task, platform.hours * _HOUR)
    kubernetes.set_security_context(task, run_as_user=USER, run_as_group=USER, run_as_non_root=True)
    kubernetes.empty_dir_mount(task, "scratch", _SCRATCH)
    _give_secrets(task, role or platform.role)
    if platform.gpu and placement is not None:
        task.set_accelerator_type(placement.gpu_type).set_accelerator_limit(placement.gpu_count)
        kubernetes.add_node_selector_json(task, placement.node_selector)
        kubernetes.add_toleration_json(task, placement.tolerations)
        # tf.data and XLA hand tensors over in shared memory; a pod's own is 64 MB.
        kubernetes.empty_dir_mount(task, "dshm", "/dev/shm", medium="Memory", size_limit="8Gi")
    return task


def _attempts_seconds(hours: int) -> int:
    """Return how long all attempts of a step may take together, with the pauses between them.

    KFP hands its `backoff_max_duration` to Argo as maxDuration, which counts from the start of
    the first attempt: once it is over nothing is retried, and an attempt that still runs is ended.

    Args:
        hours: Time limit of one attempt.
    """
    # An hour for each attempt to be scheduled: the time limit begins when its pod starts.
    pauses = sum(_BACKOFF_S * 2**retry for retry in range(_RETRIES))
    return (_RETRIES + 1) * (hours + 1) * _HOUR + pauses


def _give_secrets(task: dsl.PipelineTask, role: str) -> None:
    """Name the Secrets whose values become environment variables in the pod.

    They are optional: a step without them says in one line what it lacks, while a pod
    whose Secret is missing would wait for ever.
    """
    kubernetes.use_secret_as_env(task, _STORE_SECRETS[role], _STORE_KEYS, optional=True)
    if task.component_spec.name == "index":
        kubernetes.use_secret_as_env(
            task, SITE_SECRET, {"MAMMO_SITE_KEY": "MAMMO_SITE_KEY"}, optional=True
        )
    if task.component_spec.name == "publish-features":
        online = {name: name for name in ("MAMMO_ONLINE_STORE", "MAMMO_ONLINE_SECRET")}
        kubernetes.use_secret_as_env(task, ONLINE_SECRET, online, optional=True)
    if task.component_spec.name == "push":
        kubernetes.use_secret_as_env(
            task, SIGNING_SECRET, {"MAMMO_SIGNING_KEY": "MAMMO_SIGNING_KEY"}, optional=True
        )
