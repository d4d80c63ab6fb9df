"""Resources, GPUs, Secrets, retries, time limits and caching of all steps."""

from dataclasses import dataclass
from typing import Any

from kfp import dsl, kubernetes

from pipelines.roles import secret_of

#: Secret with the site key for keys of patients and files; only the pods that read source files
#: get it.
SITE_SECRET = "mammo-site-key"
#: Secret with the key that signs model packages; only `release` gets it, and
#: `check-signing-key`.
SIGNING_SECRET = "mammo-signing-key"
#: The password is needed where the key is encrypted.
_SIGNING_KEYS = ["MAMMO_SIGNING_KEY", "MAMMO_SIGNING_KEY_PASSWORD"]
#: Secret with the address and password of Feast's online store; only `prepare-data` gets
#: it, and without it no features go online.
ONLINE_SECRET = "mammo-online"

#: Keys of the Secret of a role: endpoint, credentials and CA of the object store, and the file of
#: the trust policy. A policy whose file is missing is an error, and never no policy.
_STORE_KEYS = (
    "MAMMO_S3_ENDPOINT",
    "MAMMO_S3_ACCESS_KEY",
    "MAMMO_S3_SECRET_KEY",
    "MAMMO_S3_REGION",
    "MAMMO_CA_BUNDLE",
    "MAMMO_TRUST",
)
#: ConfigMap with the CA of an object store with TLS, and where pods have it; it may be absent.
_CA_CONFIG_MAP, _CA_FOLDER = "mammo-ca", "/etc/mammo/ca"
#: ConfigMap with the trust policy, `trust.yaml`, and where pods have it; it may be absent.
_TRUST_CONFIG_MAP, _TRUST_FOLDER = "mammo-trust", "/etc/mammo/trust"
#: Label of our steps; the network policies select it.
STEP_LABEL = "mammo/uses-store"
#: Component → the Secrets that only it gets.
_STEP_SECRETS = {
    "index": {SITE_SECRET: ["MAMMO_SITE_KEY"]},
    "index-new": {SITE_SECRET: ["MAMMO_SITE_KEY"]},
    "convert-partition": {SITE_SECRET: ["MAMMO_SITE_KEY"]},
    # It converts what a lost pod has left, as prepare-data does.
    "sample-partition": {SITE_SECRET: ["MAMMO_SITE_KEY"]},
    "prepare-data": {
        SITE_SECRET: ["MAMMO_SITE_KEY"],
        ONLINE_SECRET: ["MAMMO_ONLINE_STORE", "MAMMO_ONLINE_SECRET"],
    },
    "duel": {SITE_SECRET: ["MAMMO_SITE_KEY"]},
    "check-signing-key": {SIGNING_SECRET: _SIGNING_KEYS},
    "release": {SIGNING_SECRET: _SIGNING_KEYS},
}
#: Numeric user of the container images.
USER = 10001
#: The only writable folder (TMPDIR and HOME of the images): the root may be read-only.
_SCRATCH = "/scratch"
_HOUR = 3600
#: How often a step is tried.
ATTEMPTS = 3
_BACKOFF_S = 30


@dataclass(frozen=True)
class StepPlatform:
    """The resources of a step.

    Attributes:
        role: The role in the object store (`pipelines.roles`) whose Secret the pod gets.
        cpu: CPU request; the step may use all idle cores.
        memory: Memory request.
        memory_limit: Memory limit: the pod is killed above it.
        hours: Time limit of one attempt.
        gpu: Whether the step uses GPUs if the run has any.
    """

    role: str = "data"
    cpu: str = "500m"
    memory: str = "1G"
    memory_limit: str = "4G"
    hours: int = 4
    gpu: bool = False


#: Component → its resources. Requests fit the phantom on a small node; limits leave room for
#: images of 1152x896 pixels.
STEPS = {
    "check-signing-key": StepPlatform("release", memory="500M", memory_limit="2G", hours=1),
    "index": StepPlatform(),
    "index-new": StepPlatform(),
    "convert-partition": StepPlatform(memory_limit="6G", hours=24),
    "sample-partition": StepPlatform(memory_limit="6G", hours=24),
    "prepare-data": StepPlatform(memory_limit="6G", hours=48),
    "train-network": StepPlatform("train", memory="2G", memory_limit="48G", hours=144, gpu=True),
    "train": StepPlatform("train", memory="2G", memory_limit="48G", hours=156, gpu=True),
    "regions": StepPlatform("train", memory="2G", memory_limit="16G", hours=12, gpu=True),
    "duel": StepPlatform("duel", memory="2G", memory_limit="16G", hours=12, gpu=True),
    "release": StepPlatform("release", memory="2G", memory_limit="16G", hours=2),
    "score": StepPlatform("score", memory="2G", memory_limit="16G", hours=24, gpu=True),
    "summarize": StepPlatform(memory="500M", memory_limit="2G", hours=1),
}


def resources_of(step: str) -> StepPlatform:
    """Return the resources of a step; a step that is not listed gets the defaults."""
    return STEPS.get(step, StepPlatform())


def run_limits() -> dsl.PipelineConfig:
    """Return the limits of a run: it outlasts all attempts of its steps, one after the other.

    Its pods are removed a week after it ends.
    """
    return dsl.PipelineConfig(
        ttl_seconds_after_finished=7 * 24 * _HOUR,
        active_deadline_seconds=sum(_attempts_seconds(step.hours) for step in STEPS.values()),
    )


@dataclass(frozen=True)
class NodePlacement:
    """Where the steps with a GPU run; each value is a parameter of the pipeline.

    Attributes:
        gpu_type: Resource name, for instance nvidia.com/gpu.
        gpu_count: Number of GPUs as text, which is all that KFP's driver accepts; 0: CPU only.
        node_selector: Labels that the node must have.
        tolerations: Taints that the pods tolerate.
    """

    gpu_type: Any
    gpu_count: Any
    node_selector: Any
    tolerations: Any

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of a component that may run on a GPU.

        KFP's compiler passes parameters into loops and conditions only if a task takes them.
        """
        return {"gpu_count": self.gpu_count, "gpu_type": self.gpu_type}

    @property
    def group_arguments(self) -> dict[str, Any]:
        """The keyword arguments of a group of tasks, some of which may run on a GPU."""
        rules = {"node_selector": self.node_selector, "tolerations": self.tolerations}
        return {**self.arguments, **rules}


def on_platform(
    task: dsl.PipelineTask,
    display_name: str,
    placement: NodePlacement | None = None,
    role: str | None = None,
) -> dsl.PipelineTask:
    """Set the name, resources, Secrets, limits and retries of a task, and turn off KFP's cache.

    A step looks up its output in the store by content address; KFP's cache knows container
    images only by reference and would return outputs of other code.

    Args:
        task: A step of the pipeline.
        display_name: Name in the graph.
        placement: Where steps with a GPU run.
        role: A role in the object store instead of the step's own.
    """
    platform = resources_of(task.component_spec.name)
    task.set_display_name(display_name).set_caching_options(False)
    task.set_cpu_request(platform.cpu)
    task.set_memory_request(platform.memory).set_memory_limit(platform.memory_limit)
    task.set_retry(
        ATTEMPTS - 1,
        backoff_duration=f"{_BACKOFF_S}s",
        backoff_factor=2.0,
        backoff_max_duration=f"{_attempts_seconds(platform.hours)}s",
    )
    kubernetes.set_timeout(task, platform.hours * _HOUR)
    kubernetes.set_security_context(task, run_as_user=USER, run_as_group=USER, run_as_non_root=True)
    kubernetes.empty_dir_mount(task, "scratch", _SCRATCH)
    kubernetes.use_config_map_as_volume(task, _CA_CONFIG_MAP, _CA_FOLDER, optional=True)
    kubernetes.use_config_map_as_volume(task, _TRUST_CONFIG_MAP, _TRUST_FOLDER, optional=True)
    kubernetes.add_pod_label(task, STEP_LABEL, "true")
    _set_secrets(task, role or platform.role)
    if platform.gpu and placement is not None:
        task.set_accelerator_type(placement.gpu_type).set_accelerator_limit(placement.gpu_count)
        kubernetes.add_node_selector_json(task, placement.node_selector)
        kubernetes.add_toleration_json(task, placement.tolerations)
        # tf.data and XLA exchange tensors in shared memory; the default of a pod is 64 MB.
        kubernetes.empty_dir_mount(task, "dshm", "/dev/shm", medium="Memory", size_limit="8Gi")
    return task


def _attempts_seconds(hours: int) -> int:
    """Return how long all attempts of a step may take together, including the pauses (seconds).

    KFP passes `backoff_max_duration` to Argo as maxDuration, which counts from the start of the
    first attempt: after it nothing is retried, and an attempt that is still running is ended.

    Args:
        hours: Time limit of one attempt.
    """
    # One hour to schedule each attempt: the time limit starts with the pod.
    pauses: int = sum(_BACKOFF_S * 2**retry for retry in range(ATTEMPTS - 1))
    return ATTEMPTS * (hours + 1) * _HOUR + pauses


def secrets_of(step: str, role: str = "") -> dict[str, list[str]]:
    """Return the Secrets of a step, each with its keys, which are also environment variables.

    Args:
        step: Name of the step.
        role: A role in the object store instead of the step's own.
    """
    secrets = {secret_of(role or resources_of(step).role): list(_STORE_KEYS)}
    return {**secrets, **_STEP_SECRETS.get(step, {})}


def _set_secrets(task: dsl.PipelineTask, role: str) -> None:
    """Set the Secrets whose values become environment variables of the pod.

    They are optional: a step without them reports what is missing, while a pod that requires a
    missing Secret would wait forever.
    """
    for secret, keys in secrets_of(task.component_spec.name, role).items():
        kubernetes.use_secret_as_env(task, secret, {key: key for key in keys}, optional=True)
