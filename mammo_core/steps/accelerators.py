"""Whether the GPUs that a step asked for are there."""

from mammo_core.steps.networks import prepare_keras


def say_gpus(step: str, count: str, kind: str) -> int:
    """Print which GPUs a step sees; a step that lacks some goes on, on what there is.

    Args:
        step: The step.
        count: GPUs that the run asked for.
        kind: Their resource name, for instance nvidia.com/gpu.

    Returns:
        How many the backend of Keras sees.
    """
    asked = int(count) if count.isdecimal() else 0
    if not asked:
        return 0
    seen = _visible()
    print(f"[{step}] {seen} of {asked} GPUs ({kind})", flush=True)
    if seen < asked:
        print(
            f"[{step}] warning: {asked} GPUs were asked for and {seen} are seen: "
            "is this the GPU image (train-gpu)?",
            flush=True,
        )
    return seen


def _visible() -> int:
    prepare_keras()
    from mammo_core.training.devices import gpus

    return gpus()
