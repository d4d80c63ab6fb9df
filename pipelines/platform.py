"""Images, resources, retries and caching of the steps, in one place."""

from kfp import dsl

#: Stand in compiled pipelines until `compile --image-tag` puts a digest or git sha there.
DATA_IMAGE = "mammo-pipelines/data-python:unset"
TRAIN_IMAGE = "mammo-pipelines/train-python:unset"

# Memory covers what was measured on the phantom with room for 1152x896 images.
_RESOURCES = {
    "index": ("1", "2G"),
    "convert": ("2", "4G"),
    "publish-features": ("1", "4G"),
    "sample": ("2", "4G"),
    "train-patch": ("4", "16G"),
    "train-image": ("4", "24G"),
    "evaluate": ("2", "8G"),
    "gate": ("2", "8G"),
    "push": ("2", "8G"),
    "summarize": ("1", "2G"),
}
#: Steps whose faults are mostly of network and disk: worth trying again.
_RETRIED = ("index", "convert", "publish-features", "sample", "push")


def on_platform(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Give a task its resources and retries, and turn KFP's cache off.

    A step looks its output up in the store by content address; KFP's cache knows image
    references by name only and would return outputs of other code.
    """
    cpu, memory = _RESOURCES[task.name]
    task.set_cpu_request(cpu).set_memory_request(memory).set_memory_limit(memory)
    task.set_caching_options(False)
    if task.name in _RETRIED:
        task.set_retry(2, backoff_duration="30s", backoff_factor=2.0, backoff_max_duration="300s")
    return task
