"""Measures whether heatmaps find lesions at the chest wall, by what a patch sees beyond the edge.

The test images of an evaluation are shown twice: as they are, and moved towards the chest wall so
far that the center of a lesion lies `--distance` patches from the edge (what leaves the image is
lost, as where the breast was not pulled far enough onto the detector). Maps are made in four ways:
`none` ends half a patch before the edge; `zero` extends the image by zeros, `reflect` by its
reflection, `black` by its darkest level. Printed are the share of the views whose hottest point
lies in a malignant lesion, and the share of the malignant lesions marked at one false mark per
image without one.

    PYTHONPATH=. .venv/bin/python benchmarks/heatmap_edges.py --store URI [--evaluation ID]
        [--distance D] [--json]
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from mammo_core.evaluation.kinds import EVALUATION
from mammo_core.evaluation.localization.measure import ShownView, Target, measure_localization
from mammo_core.evaluation.localization.views import Heater, shown_views
from mammo_core.evaluation.patch_heat import patch_heatmaps
from mammo_core.imaging.orientation import chest_side
from mammo_core.metrics import Interval
from mammo_core.packaging.keras_file import import_keras
from mammo_core.store import open_store

WAYS = ("none", "zero", "reflect", "black")


def moved(view: ShownView, distance: int) -> ShownView:
    """Return a view whose first malignant lesion is that many pixels from the chest wall."""
    lesion = next((lesion for lesion in view.lesions if lesion.is_malignant), None)
    if lesion is None:
        return view
    is_left = chest_side(view.pixels) == "left"
    column = round(float(np.nonzero(lesion.mask)[1].mean()))
    width = view.pixels.shape[1]
    shift = (column if is_left else width - 1 - column) - distance
    if shift <= 0:
        return view

    def move(values: Any) -> Any:
        result = np.zeros_like(values)
        if is_left:
            result[:, : width - shift] = values[:, shift:]
        else:
            result[:, shift:] = values[:, : width - shift]
        return result

    lesions = [replace(each, mask=move(each.mask)) for each in view.lesions]
    return replace(
        view,
        pixels=move(view.pixels),
        lesions=[each for each in lesions if each.mask.any()],
    )


class PlainHeater(Heater):
    """Makes no map: the views are wanted as they are."""

    def heat(self, pixels: Any) -> dict[Target, Any]:
        """Return nothing."""
        return {}


def with_heat(views: list[ShownView], heater: Heater, way: str) -> Iterator[ShownView]:
    """Yield views with their maps, made in one of the ways."""
    from mammo_core.models import coordinates, heatmap

    malignant = heater.malignant_classes()
    for view in views:
        batch = heater.preprocessing.to_network(view.pixels[np.newaxis])
        if way != "none":
            (heat,) = patch_heatmaps(
                heater.model, batch, heater.patch_size, [malignant], extension=way
            )
            heat = heat[0]
        else:
            maps = heatmap(heater.model, batch, heater.patch_size)[0][..., malignant].sum(axis=-1)
            rows, columns = coordinates(heater.model, view.pixels.shape, heater.patch_size)
            height, width = view.pixels.shape
            down = [np.interp(np.arange(height), rows, line, 0, 0) for line in maps.T]
            across = [np.interp(np.arange(width), columns, line, 0, 0) for line in np.array(down).T]
            heat = np.clip(np.array(across), 0, 1).astype(np.float32)
        yield replace(view, heat={"malignant": heat, "lesion": heat})


def interval(value: Interval) -> list[float]:
    """Return a value with its interval, rounded."""
    return [round(number, 3) for number in (value.value, value.low, value.high)]


def main() -> None:
    """Measure the heatmaps of an evaluation."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", required=True)
    parser.add_argument("--evaluation", help="its id; the only one of the store by default")
    parser.add_argument("--distance", type=float, default=0.25, help="in patches")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    import_keras()
    from mammo_core.datasets.tables import read_table
    from mammo_core.features.frame import read_frame
    from mammo_core.ingest.kinds import IMAGE_DATASET
    from mammo_core.models import fully_convolutional
    from mammo_core.sampling.labels import FIVE_CLASSES
    from mammo_core.training.kinds import IMAGE_TRAINING, PATCH_TRAINING
    from mammo_core.training.networks import load_network

    store = open_store(options.store)
    keys = store.list(f"{EVALUATION.folder}/")
    ids = sorted({key.split("/")[1] for key in keys if key.endswith("/manifest.json")})
    evaluation = EVALUATION.read(store, options.evaluation or ids[-1])
    lineage = evaluation.lineage
    patch_training = PATCH_TRAINING.read(store, lineage["patch_training"])
    facts = PATCH_TRAINING.facts_of(patch_training)
    image_facts = IMAGE_TRAINING.facts_of(IMAGE_TRAINING.read(store, lineage["image_training"]))
    heater = Heater(
        fully_convolutional(load_network(store, patch_training), facts.patch_size),
        image_facts.preprocessing,
        facts.patch_size,
        FIVE_CLASSES,
    )
    plain = PlainHeater(**vars(heater))
    views = list(
        shown_views(
            store,
            IMAGE_DATASET.read(store, lineage["images"]),
            read_frame(store, lineage["frame"]),
            read_table(store, evaluation, "test.parquet"),
            plain,
        )
    )
    result: dict[str, Any] = {"views": len(views), "patch": facts.patch_size}
    distance = round(options.distance * facts.patch_size)
    for where in ("elsewhere", "chest wall"):
        shown = views if where == "elsewhere" else [moved(view, distance) for view in views]
        for way in WAYS:
            measured, _ = measure_localization(
                with_heat(shown, heater, way), distance=facts.patch_size // 2, replicates=1000
            )
            curve = measured.curve("malignant", "center")
            pointing = measured.pointing["malignant"]
            result[f"{where}, {way}"] = {
                "hottest point": interval(pointing),
                "marked": None if curve is None else interval(curve.at_rates[1.0]),
                "merit": None if curve is None else round(curve.figure_of_merit.value, 3),
            }
            if not options.json:
                print(where, way, result[f"{where}, {way}"], flush=True)
    if options.json:
        print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
