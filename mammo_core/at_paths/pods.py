"""What each pod of our pipelines does: steps that always follow each other, in one pod.

A pod costs a driver and a launcher besides its own work, so steps on the same container image
and rights share one. A pod takes the paths of its inputs and the URI of the store, and writes its
artifacts.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from mammo_core import at_paths, steps
from mammo_core.at_paths import read, show_page, write
from mammo_core.at_paths.bundles import Bundle, read_bundle, write_bundle
from mammo_core.at_paths.pod import Pod
from mammo_core.at_paths.shown import report_gpus
from mammo_core.datasets import Manifest
from mammo_core.steps.begin import network_names
from mammo_core.steps.step import StepResult


class RunBeginning(NamedTuple):
    """What the pod `index` passes on.

    Attributes:
        partitions: The partitions of the records, for a pod each; empty: there is one, or there
            is nothing left to do.
        recipe_digest: SHA-256 of the resolved recipe.
        enough: Whether enough images are new to train again; True where that was not asked.
        metadata: Metadata of the tables, and of the new images.
    """

    partitions: list[str]
    recipe_digest: str
    enough: bool
    metadata: list[dict[str, Any]]


def begin(
    *,
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    tables: str,
    audit: str,
    source: str = "",
    settings: Sequence[str] = (),
    partitions: int = 1,
    start: str = "",
    signed: bool = False,
    new_images: str = "",
) -> RunBeginning:
    """Resolve the recipe of a run (see `steps.begin`) and index its source.

    Args:
        store: URI of the object store.
        run_id: Name of the run.
        kfp_run_id: Id that Kubeflow Pipelines gave the run.
        recipe: Name or URI of a recipe, or the recipe itself as a JSON object.
        tables: Path of the tables.
        audit: Path of the audit, an HTML page.
        source: URI of the mammograms instead of the recipe's.
        settings: Overrides of the recipe.
        partitions: Number of partitions of conversion and sampling; 0: chosen from the bytes of
            the images.
        start: Model package that training starts from: a URI, or `champion`.
        signed: Whether the signing key is checked by another pod.
        new_images: Path of what `find-new` found; empty: it is not asked.
    """
    pod = Pod(store, run_id, kfp_run_id, recipe)

    def work() -> list[Any]:
        from mammo_core.steps.data import choose_partitions, has_records

        run = pod.run()
        beginning = steps.begin(
            run,
            recipe,
            source=source,
            settings=settings,
            partitions=partitions,
            start=start,
            signing_key_id="checked by another pod" if signed else "",
        )
        digest = beginning.recipe_digest
        result = steps.index.execute(run, recipe_digest=digest, use="training")
        write(tables, result.manifest.to_json().encode())
        show_page(store, result.manifest, audit, "audit.html")
        metadata, enough = [result.metadata], True
        if new_images:
            new = steps.find_new.execute(run, recipe_digest=digest, tables=result.manifest)
            write(new_images, new.manifest.to_json().encode())
            metadata.append(new.metadata)
            enough = bool(new.manifest.facts["enough"])
        names = beginning.partitions or choose_partitions(run, result.manifest)
        if len(names) == 1 or has_records(run, run.recipe(recipe, digest), result.manifest):
            names = []
        return [names, digest, enough, metadata]

    return RunBeginning(*pod.call("index", work))


def convert_partition(*, partition: str, tables: str, out: str, **run: Any) -> dict[str, Any]:
    """Convert one partition of the mammograms."""
    result = Pod(**run).step("convert", tables=read(tables), partition=partition)
    return _written(result, out)


def sample_partition(*, partition: str, tables: str, out: str, **run: Any) -> dict[str, Any]:
    """Cut the patches of one partition.

    The first of these pods publishes the image dataset of the converted partitions, and converts
    what a lost pod has left.
    """
    pod = Pod(**run)
    images = pod.step("convert", tables=read(tables)).manifest
    return _written(pod.step("sample", images=images, partition=partition), out)


def prepare_data(
    *, tables: str, out: str, report: str, **run: Any
) -> tuple[dict[str, str], list[str]]:
    """Convert, publish the features, validate the data and cut the patches.

    Args:
        tables: Path of the tables.
        out: Path of the bundle of tables, images, frame and patches.
        report: Path of the validation's page, which is also written where it fails.
        run: The store and the run: see `Pod`.

    Returns:
        Metadata of the bundle; the networks to train in a pod each, none if there is only one.
    """
    from mammo_core.datasets import tables as _  # noqa: F401 (imported once, for all forks)

    pod, indexed = Pod(**run), read(tables)
    images = pod.step("convert", tables=indexed).manifest
    frame = pod.step("publish-features", tables=indexed, images=images).manifest
    try:
        pod.step("validate-data", images=images, frame=frame)
    finally:
        pod.call("validate-data", lambda: _show_validation(pod, report))
    patches = pod.step("sample", images=images).manifest
    bundle = {"tables": indexed, "images": images, "frame": frame, "patches": patches}
    names = pod.call("sample", lambda: network_names(pod.recipe(pod.run())))
    return write_bundle(out, bundle), names if len(names) > 1 else []


def _show_validation(pod: Pod, report: str) -> None:
    run = pod.run()
    facts = run.statuses().get("validate-data", {}).get("facts", {})
    if "report" in facts:
        write(report, run.store.read(facts["report"]))


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
    return _written(evaluation, out), _written(package, candidate), not released


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
    return _written(result, out)


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
    return _written(pod.step("duel", **inputs, candidate=read(candidate)), out)


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
    metadata = _written(decided, decision)
    pod.call("gate", lambda: show_page(pod.store, decided.manifest, comparison, "comparison.html"))
    if not decided.manifest.facts["passed"]:
        write(model, b"")
        return metadata, {"pushed": False}
    pushed = pod.step("push", candidate=read(candidate), decision=decided.manifest)
    return metadata, {"pushed": True, **pushed.manifest.facts, **_written(pushed, model)}


def score(
    *, out: str, report: str, gpu_count: str = "0", gpu_type: str = "", **inputs: Any
) -> dict[str, Any]:
    """Score mammograms: see `steps.score`."""
    names = ("store", "run_id", "kfp_run_id")
    pod = Pod(**{name: inputs.pop(name) for name in names})
    _report_gpus(pod, "score", gpu_count, gpu_type)
    result = pod.step("score", **inputs)
    show_page(pod.store, result.manifest, report)
    return _written(result, out)


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


def _written(result: StepResult, path: str) -> dict[str, Any]:
    write(path, result.manifest.to_json().encode())
    return result.metadata
