"""What each pod of our pipelines does: steps that always follow each other, in one pod.

A pod costs a driver and a launcher besides its own work, so steps on the same container image
and rights share one. A pod takes the paths of its inputs and the URI of the store, and writes its
artifacts. `data_pods` has those that make the data.
"""

from typing import Any

from mammo_core import at_paths
from mammo_core.at_paths import read, show_page, write
from mammo_core.at_paths.bundles import Bundle, read_bundle, write_bundle
from mammo_core.at_paths.pod import Pod, written
from mammo_core.at_paths.shown import report_gpus
from mammo_core.datasets import Manifest
from mammo_core.steps.begin import network_names


def train_network(
    *, member: str, data: str, gpu_count: str = "0", gpu_type: str = "", **run: Any
) -> str:
    """Train the patch and the whole-image classifier of one member of an ensemble."""
    pod = Pod(**run)
    _report_gpus(pod, "train-patch", gpu_count, gpu_type)
    _train(pod, read_bundle(data), member)
    return member


def train(
    *,
    data: str,
    out: str,
    starts: bool = False,
    gpu_count: str = "0",
    gpu_type: str = "",
    **run: Any,
) -> dict[str, str]:
    """Train both classifiers of each network that is not trained yet.

    Args:
        data: Path of the bundle of the data.
        out: Path of the bundle of the trained networks.
        starts: Whether training goes on from the model package that the recipe names.
        gpu_count: GPUs that the run requested.
        gpu_type: Their resource name.
        run: The store and the run: see `Pod`.
    """
    pod, bundle = Pod(**run), read_bundle(data)
    _report_gpus(pod, "train-image" if starts else "train-patch", gpu_count, gpu_type)
    if starts:
        patch = pod.step("start-from").manifest
        inputs = {name: bundle[name] for name in ("images", "frame")}
        image = pod.step("train-image", **inputs, patch_training=patch).manifest
        pairs = [(patch, image)]
    else:
        names = pod.call("train-patch", lambda: network_names(pod.recipe(pod.run())))
        pairs = [_train(pod, bundle, name) for name in names]
    patches, images = zip(*pairs, strict=True)
    return write_bundle(out, {"patch_trainings": patches, "image_trainings": images})


def _train(pod: Pod, data: Bundle, member: str) -> tuple[Manifest, Manifest]:
    frame = data["frame"]
    patch = pod.step("train-patch", patches=data["patches"], frame=frame, member=member).manifest
    image = pod.step(
        "train-image", images=data["images"], frame=frame, patch_training=patch, member=member
    ).manifest
    return patch, image


def evaluate(
    *,
    data: str,
    networks: str,
    out: str,
    candidate: str,
    gpu_count: str = "0",
    gpu_type: str = "",
    **run: Any,
) -> tuple[dict[str, Any], dict[str, Any], bool]:
    """Combine the networks, evaluate them on the test split, and build the package of the model.

    Args:
        data: Path of the bundle of the data.
        networks: Path of the bundle of the trained networks.
        out: Path of the evaluation.
        candidate: Path of the package.
        gpu_count: GPUs that the run requested.
        gpu_type: Their resource name.
        run: The store and the run: see `Pod`.

    Returns:
        Metadata of the evaluation and of the package; whether there is anything to release: not
        if this very model is the champion already, and has passed this gate.
    """
    pod, bundle, trained = Pod(**run), read_bundle(data), read_bundle(networks)
    _report_gpus(pod, "evaluate", gpu_count, gpu_type)
    image_trainings, patch_trainings = trained["image_trainings"], trained["patch_trainings"]
    combined = image_trainings[0]
    if len(image_trainings) > 1:
        combined = pod.step("combine", image_trainings=image_trainings).manifest
    inputs = {
        "images": bundle["images"],
        "frame": bundle["frame"],
        "patch_training": patch_trainings[0],
        "image_training": combined,
    }
    evaluation = pod.step("evaluate", **inputs, patches=bundle["patches"])
    package = pod.step("build-candidate", **inputs, evaluation=evaluation.manifest)

    def work() -> bool:
        from mammo_core.steps.release import is_released

        opened = pod.run()
        return is_released(opened, pod.recipe(opened), package.manifest)

    released = pod.call("gate", work)
    return written(evaluation, out), written(package, candidate), not released


def regions(
    *,
    data: str,
    networks: str,
    out: str,
    report: str,
    gpu_count: str = "0",
    gpu_type: str = "",
    **run: Any,
) -> dict[str, Any]:
    """Fit the second stage on the heatmaps of the patch classifier: see `steps.regions`."""
    pod, bundle = Pod(**run), read_bundle(data)
    _report_gpus(pod, "regions", gpu_count, gpu_type)
    patch_training = read_bundle(networks)["patch_trainings"][0]
    inputs = {name: bundle[name] for name in ("images", "frame")}
    result = pod.step("regions", **inputs, patch_training=patch_training)
    show_page(pod.store, result.manifest, report)
    return written(result, out)


def duel(
    *,
    data: str,
    candidate: str,
    out: str,
    gpu_count: str = "0",
    gpu_type: str = "",
    **run: Any,
) -> dict[str, Any]:
    """Let the model and the champion score the same source images: see `steps.duel`."""
    pod, bundle = Pod(**run), read_bundle(data)
    _report_gpus(pod, "duel", gpu_count, gpu_type)
    inputs = {name: bundle[name] for name in ("tables", "frame")}
    return written(pod.step("duel", **inputs, candidate=read(candidate)), out)


def release(
    *,
    evaluation: str,
    duel: str,
    candidate: str,
    decision: str,
    comparison: str,
    model: str,
    **run: Any,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Decide whether the model may be pushed, and push it if it may.

    Args:
        evaluation: Path of the evaluation.
        duel: Path of the duel with the champion.
        candidate: Path of the package.
        decision: Path of the decision.
        comparison: Path of the comparison, an HTML page.
        model: Path of the pushed version; an empty file if there is none.
        run: The store and the run: see `Pod`.

    Returns:
        Metadata of the decision and of the pushed version.
    """
    pod = Pod(**run)
    decided = pod.step("gate", evaluation=read(evaluation), duel=read(duel))
    metadata = written(decided, decision)
    pod.call("gate", lambda: show_page(pod.store, decided.manifest, comparison, "comparison.html"))
    if not decided.manifest.facts["passed"]:
        write(model, b"")
        return metadata, {"pushed": False}
    pushed = pod.step("push", candidate=read(candidate), decision=decided.manifest)
    return metadata, {"pushed": True, **pushed.manifest.facts, **written(pushed, model)}


def score(
    *, out: str, report: str, gpu_count: str = "0", gpu_type: str = "", **inputs: Any
) -> dict[str, Any]:
    """Score mammograms: see `steps.score`."""
    names = ("store", "run_id", "kfp_run_id")
    pod = Pod(**{name: inputs.pop(name) for name in names})
    _report_gpus(pod, "score", gpu_count, gpu_type)
    result = pod.step("score", **inputs)
    show_page(pod.store, result.manifest, report)
    return written(result, out)


def summarize(*, page: str, **run: Any) -> None:
    """Write the summary of a run, whatever happened: see `at_paths.summarize`.

    Args:
        page: Path of the summary, an HTML page.
        run: The store, the run and its state.
    """
    from mammo_core.runs.summary_page import summary_page

    write(page, summary_page(at_paths.summarize(**run)).encode())


def _report_gpus(pod: Pod, step: str, requested: str, resource: str) -> None:
    """Print how many GPUs there are, where a run requested some: in a fork, which loads Keras."""
    if requested.isdecimal() and int(requested):
        pod.call(step, lambda: report_gpus(step, requested, resource))
