"""Measure the steps that read and write tables only, with as many images as large sources have.

A source of N images, four for each exam, is described by a CSV. Its files are empty: what `index`
asks about them is answered by the facts that an earlier index has stored, as for a source that has
grown by a few images. The records are a stored manifest with empty shards. No pixel is read.

Each step runs in a process of its own, whose CPU seconds (imports included) and peak memory the
system measures. The exponent of a step is log(CPU at the larger N / CPU at the smaller N) /
log(larger N / smaller N). Beyond 2 GiB, or an exponent of 1.1, the benchmark fails.

    PYTHONPATH=. .venv/bin/python benchmarks/scale.py [--images 50000,500000] [--json] [--keep DIR]
"""

import argparse
import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

#: A step may take this much memory, and its CPU seconds grow with this power of the images.
MAXIMUM_MB = 2048
MAXIMUM_EXPONENT = 1.1
_PER_FOLDER = 1000
_PER_SHARD = 32
_PER_EXAM, _EXAMS = 4, 2
_KEY = "5" * 64
_VIEWS = (("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"))


def prepare(folder: Path, images: int) -> None:
    """Write the source, and the facts about its files that an earlier index has stored."""
    root = folder / "source"
    with (folder / "table.csv").open("w") as table:
        table.write(
            "image_path,patient_id,exam_id,exam_date,laterality,view,label,lesion_type,lesion_box\n"
        )
        for number in range(images):
            exam, at = divmod(number, _PER_EXAM)
            patient = exam // _EXAMS
            path = f"{number // _PER_FOLDER:04d}/{number:07d}.png"
            if number % _PER_FOLDER == 0:
                (root / path).parent.mkdir(parents=True)
            (root / path).touch()
            side, view = _VIEWS[at]
            malignant = int(_share(f"label {patient} {side}") < 0.1)
            date = f"20{10 + exam % _EXAMS}-{1 + patient % 12:02d}-{1 + patient % 28:02d}"
            lesion = f"{('mass', 'calc')[patient % 2]},900 800 300 200" if malignant else ","
            exam_id = f"PT{patient:07d},E{exam:07d},{date}"
            table.write(f"{path},{exam_id},{side},{view},{malignant},{lesion}\n")
    from mammo_core.sources.files import file_fact_cache

    class KnownFacts(file_fact_cache.FileFactCache):
        """Answers of an earlier index."""

        def cached(self, question: str, entries: Any, answers: Any, compute: Any) -> Any:
            return super().cached(
                question, entries, answers, lambda: _fact(question, entries) or compute()
            )

    file_fact_cache.FileFactCache = KnownFacts  # type: ignore[misc]
    index(folder)
    for name in ("memos", "of-"):
        for key in (folder / "store" / "tables").glob(f"{name}*"):
            for file in sorted(key.rglob("*"), reverse=True):
                file.unlink() if file.is_file() else file.rmdir()


def _fact(question: str, entries: Any) -> Any:
    from mammo_core.dicom import ImageFacts
    from mammo_core.sources.files.file_inspection import _ImageInspection
    from mammo_core.sources.files.image_files import ImageFile
    from mammo_core.sources.identity.exams import HeaderKeys
    from mammo_core.sources.lesions.masks import MaskFile

    if not entries:
        return None
    name = entries[0].key
    share = _share(name)
    if question.startswith("image"):
        facts = ImageFacts(
            transfer_syntax="1.2.840.10008.1.2.4.70", photometric="MONOCHROME2", modality="MG",
            manufacturer=("HOLOGIC", "SIEMENS", "GE")[int(share * 3)], rows=3328, columns=2560,
            bits_stored=12, spacing_mm=0.07, spacing_source="ImagerPixelSpacing",
            image_type="ffdm", body_part="breast", area_mm2=41746.0,
        )  # fmt: skip
        return ImageFile(name, hashlib.sha256(name.encode()).hexdigest(), facts)
    if question.startswith("header keys"):
        return HeaderKeys("", "")
    if question.startswith("audit"):
        import base64

        thumbnail = (
            base64.b64encode(bytes(176 * 136 * 2)).decode() if "draw: True" in question else ""
        )
        digest = hashlib.sha256(f"pixels {name}".encode()).hexdigest()
        return _ImageInspection(
            "0.070 mm (ImagerPixelSpacing)", digest, thumbnail, "", _measures(share)
        )
    if question.startswith("mask"):
        path = question.split()[1]
        return MaskFile(path, hashlib.sha256(path.encode()).hexdigest(), False)
    raise KeyError(question)


def _measures(share: float) -> Any:
    from mammo_core.imaging import GrayMeasures

    return GrayMeasures(
        low=0.0, median=0.1, bright=0.7, high=0.8, mean=0.2 + 0.1 * share, used_range=0.8,
        steps=3000, levels=2500, background=0.0, background_share=0.5, darkest_corner=0.0,
        contrast=0.4, breast_share=0.35, breast_contact=0.9, chest_wall="left", structure=0.9,
        smoothness=0.95, jumps=0.0,
    )  # fmt: skip


def _share(text: str) -> float:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32


def _recipe(folder: Path) -> Any:
    from mammo_core.recipes import load_recipe

    settings = [f"source.root={folder / 'source'}", f"source.tables={folder / 'table.csv'}"]
    return load_recipe("own_data", settings)


def _store(folder: Path) -> Any:
    from mammo_core.store import open_store

    return open_store(f"file://{folder / 'store'}")


def _only(folder: Path, kind: Any) -> Any:
    """Return the one published output of a kind."""
    store = _store(folder)
    keys = [key for key in store.list(f"{kind.folder}/") if key.endswith("/manifest.json")]
    return kind.read(store, min(keys).split("/")[-2])


def index(folder: Path) -> None:
    """The step `index`, from the listing, the CSV and the stored facts."""
    from mammo_core.runs import Run
    from mammo_core.steps import index as step

    run = Run.open(_store(folder), "scale")
    run.write_recipe(_recipe(folder))
    step(run)


def records(folder: Path) -> None:
    """Write what `convert` would have published: statistics, items, a manifest of many shards."""
    import numpy as np
    import pandas as pd

    from mammo_core.datasets.manifests import put_bytes
    from mammo_core.datasets.outputs import Draft, make_output
    from mammo_core.datasets.tables import put_table, read_table
    from mammo_core.ingest.convert import convert_id
    from mammo_core.ingest.kinds import IMAGE_DATASET, ImageDatasetFacts
    from mammo_core.ingest.record import MEASURE_PREFIX, STATISTICS
    from mammo_core.ingest.reuse import ITEMS
    from mammo_core.sources.kinds import TABLES

    store, tables, recipe = _store(folder), _only(folder, TABLES), _recipe(folder)
    images = read_table(store, tables, "images.parquet").sort_values("image_id")
    ids = images["image_id"].to_numpy()
    draw = np.random.default_rng(1)
    values: dict[str, Any] = {
        "image_id": ids,
        "mean": draw.normal(9000, 1500, len(ids)),
        "picture": _pictures(len(ids)),
        "standard_deviation": draw.normal(9000, 500, len(ids)),
        "warnings": "",
        **{f"{MEASURE_PREFIX}{name}": value for name, value in asdict(_measures(0.5)).items()},
    }
    rest = {name: 0 for name in STATISTICS if name not in values}
    shards = [f"shard-{at // _PER_SHARD:05d}" for at in range(len(ids))]
    items = pd.DataFrame({"image_id": ids, "source": ids, "shard": shards, "rejects": "[]"})

    def make(attempt: Any) -> Draft:
        id = convert_id(recipe.convert, images, read_table(store, tables, "lesions.parquet"))
        output = attempt.folder(IMAGE_DATASET.output(id))
        files = [
            put_bytes(store, output, name, b"").model_copy(update={"count": _PER_SHARD})
            for name in sorted(set(shards))
        ]
        statistics = pd.DataFrame({**values, **rest})[list(STATISTICS)]
        files.append(put_table(store, output, "statistics.parquet", statistics))
        files.append(put_table(store, output, ITEMS, items))
        facts = ImageDatasetFacts(bit_depth=16, geometry=recipe.convert.geometry)
        return Draft(
            IMAGE_DATASET.manifest(
                id, config={}, facts=facts, files=files, lineage={"tables": tables.id}
            )
        )

    make_output(store, IMAGE_DATASET.output("scale"), make)


def _pictures(count: int) -> list[str]:
    """Return digests without any copy: a third of the spots is of a common kind, as skin lines."""
    import base64

    import numpy as np

    from mammo_core.imaging import picture_digest

    draw = np.random.default_rng(2)
    texts: list[str] = []
    while len(texts) < count:
        size = min(10_000, count - len(texts))
        digests = draw.integers(0, 256, (size, picture_digest.DIGEST_BYTES), np.uint8)
        spots = np.zeros((size, picture_digest.SPOTS), picture_digest.SPOT)
        common = draw.random(spots.shape) < 1 / 3
        rare, kinds = draw.integers(2, 2**26, spots.shape), draw.integers(2, 1000, spots.shape)
        spots["code"] = np.where(common, kinds, rare)
        spots["row"], spots["column"] = draw.integers(0, 48, (2, *spots.shape))
        digests[:, -spots[0].nbytes :] = spots.view(np.uint8).reshape(size, -1)
        texts += [base64.b64encode(row).decode() for row in digests]
    return texts


def split(folder: Path) -> None:
    """The sides of all patients: drawn and stored, as `publish-features` does."""
    _sides(folder)


def _sides(folder: Path) -> tuple[Any, Any]:
    from mammo_core.datasets.tables import read_table
    from mammo_core.registry.lineage.run_sides import SidesRequest, run_sides
    from mammo_core.sources.kinds import TABLES

    class Silent:
        def say(self, text: str) -> None: ...

        def note(self, **facts: Any) -> None: ...

    store, recipe, tables = _store(folder), _recipe(folder), _only(folder, TABLES)
    images = read_table(store, tables, "images.parquet")
    request = SidesRequest(
        store=store, split=recipe.split, model_name=recipe.model_name, tables=tables,
        images=images, start_packages=(), read_start_packages=lambda store, run: [],
    )  # fmt: skip
    return run_sides(request, Silent()), images


def _features(folder: Path) -> Any:
    from mammo_core.datasets.tables import read_table
    from mammo_core.features.assignments import split_id
    from mammo_core.features.gray_levels import training_gray_levels
    from mammo_core.features.locations import record_locations
    from mammo_core.features.publish import FeatureTables
    from mammo_core.ingest.kinds import IMAGE_DATASET
    from mammo_core.sources.kinds import TABLES

    store, recipe = _store(folder), _recipe(folder)
    sides, images = _sides(folder)
    tables, dataset = _only(folder, TABLES), _only(folder, IMAGE_DATASET)
    statistics = read_table(store, dataset, "statistics.parquet", without=("picture",))
    splits = dict(zip(sides.result.images["image_id"], sides.result.images["split"], strict=True))
    split = recipe.split.model_dump(mode="json")
    assignment = split_id({**split, "withheld": sides.facts}, splits)
    return FeatureTables(
        images=images, lesions=read_table(store, tables, "lesions.parquet"),
        statistics=statistics, splits=splits, patients=sides.result.patients,
        assignment_id=assignment, dataset_id=dataset.id,
        facts={
            "split": split, "leaking_patients": [],
            "images": recipe.images.model_dump(mode="json"), "withheld": sides.facts,
            "gray_levels": training_gray_levels(statistics, splits),
        },
        shuffle_labels=False, seed=1, sides_id=sides.assignment_id,
        inputs={"tables": tables.id, "images": dataset.id, "assignment": assignment},
        locations=record_locations(store, dataset),
    )  # fmt: skip


def publish(folder: Path) -> None:
    """The rows of all feature views, with the sides of the patients."""
    from mammo_core.features.publish import publish_features

    publish_features(_store(folder), _features(folder))


def frame(folder: Path) -> None:
    """The step `publish-features`: sides, rows that are published already, join and frame."""
    from mammo_core.ingest.kinds import IMAGE_DATASET
    from mammo_core.runs import Run
    from mammo_core.sources.kinds import TABLES
    from mammo_core.steps import publish_features as step

    run = Run.open(_store(folder), "scale")
    step(run, tables=_only(folder, TABLES), images=_only(folder, IMAGE_DATASET))


def find_new(folder: Path) -> None:
    """What `find-new` compares: the images of now with the champion's frame and its tables."""
    from mammo_core.datasets.tables import read_table
    from mammo_core.features import MAIN
    from mammo_core.features.frame import frame_from_manifest
    from mammo_core.features.kinds import FRAME
    from mammo_core.features.new_images import new_images_since
    from mammo_core.sources.kinds import TABLES

    store = _store(folder)
    images = read_table(store, _only(folder, TABLES), "images.parquet")
    before = images.iloc[: len(images) * 9 // 10]
    old = frame_from_manifest(store, _only(folder, FRAME))
    new_images_since(store, images, old, folder=MAIN, before=before)


def validation(folder: Path) -> None:
    """What `validate-data` compares, and its page."""
    from mammo_core.datasets.outputs import make_output
    from mammo_core.features.config import ValidationConfig
    from mammo_core.features.data_checks.validation_report import draft_validation
    from mammo_core.features.frame import frame_from_manifest
    from mammo_core.features.kinds import FRAME, VALIDATION
    from mammo_core.ingest.kinds import IMAGE_DATASET

    store, manifest = _store(folder), _only(folder, FRAME)
    champion = frame_from_manifest(store, manifest)
    part = champion.images.iloc[: len(champion.images) * 9 // 10]
    champion = type(champion)(champion.id, part, champion.lesions, champion.facts)
    make_output(
        store, VALIDATION.output("scale"),
        lambda attempt: draft_validation(
            attempt, "0" * 32, ValidationConfig(), frame=manifest,
            images=_only(folder, IMAGE_DATASET), champion=champion, no_champion_reason="",
            same_conversion=True, title="scale",
        ),
    )  # fmt: skip


#: Measured steps in order; `records` only writes what the later ones read.
STEPS: dict[str, Callable[[Path], None]] = {
    "index": index, "records": records, "split": split, "publish": publish, "frame": frame,
    "find-new": find_new, "validation": validation,
}  # fmt: skip
_UNMEASURED = ("records",)


def run_step(name: str, folder: Path, images: int = 0) -> dict[str, float]:
    """Run a step in a process of its own; returns its CPU seconds and peak MB."""
    environment = {**os.environ, "MAMMO_SITE_KEY": _KEY, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["MAMMO_SCRATCH"] = str(folder / "scratch")
    command = [
        sys.executable,
        __file__,
        "--step",
        name,
        "--folder",
        str(folder),
        "--count",
        str(images),
    ]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"The step {name} failed.")
    cpu = usage.ru_utime + usage.ru_stime
    return {"cpu_s": round(cpu, 2), "peak_mb": round(usage.ru_maxrss / 1024)}


def measure(images: int, folder: Path) -> dict[str, Any]:
    """Run all steps with a number of images."""
    folder.mkdir(parents=True)
    run_step("prepare", folder, images)
    steps = {name: run_step(name, folder) for name in STEPS}
    manifests = [path.stat().st_size for path in (folder / "store").rglob("manifest.json")]
    return {
        "images": images,
        "steps": {name: cost for name, cost in steps.items() if name not in _UNMEASURED},
        "largest_manifest_mb": round(max(manifests) / 2**20, 2),
    }


def exponents(results: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the exponent of each step between the smallest and the largest number of images."""
    few, many = results[0], results[-1]
    ratio = many["images"] / few["images"]
    return {
        name: round(math.log(many["steps"][name]["cpu_s"] / cost["cpu_s"]) / math.log(ratio), 3)
        for name, cost in few["steps"].items()
    }


def main() -> None:
    """Measure, print, and fail beyond the limits."""
    parser = argparse.ArgumentParser(description="Measure the steps of tables at scale.")
    parser.add_argument("--images", default="50000,500000")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step == "prepare":
        prepare(arguments.folder, arguments.count)
        return
    if arguments.step:
        STEPS[arguments.step](arguments.folder)
        return
    counts = sorted(int(number) for number in arguments.images.split(","))
    with tempfile.TemporaryDirectory(prefix="mammo-scale-") as temporary:
        folder = arguments.keep or Path(temporary)
        results = [measure(count, folder / str(count)) for count in counts]
    report: dict[str, Any] = {"results": results, "load": round(os.getloadavg()[0], 2)}
    if len(results) > 1:
        report["exponents"] = exponents(results)
    print(json.dumps(report, indent=None if arguments.json else 1))
    peaks = {name: cost["peak_mb"] for name, cost in results[-1]["steps"].items()}
    beyond = [f"{name} {peak} MB" for name, peak in peaks.items() if peak > MAXIMUM_MB]
    exponent = report.get("exponents", {})
    beyond += [f"{name} {value}" for name, value in exponent.items() if value > MAXIMUM_EXPONENT]
    if beyond:
        raise SystemExit(f"Beyond the limits: {', '.join(beyond)}.")


if __name__ == "__main__":
    main()
