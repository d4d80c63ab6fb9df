"""The source and the records that `scale.py` measures steps with."""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_PER_FOLDER = 1000
_PER_SHARD = 32
_PER_EXAM, _EXAMS = 4, 2
_VIEWS = (("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"))
_ROWS, _COLUMNS = 3328, 2560
_BOX = (900, 800, 300, 200)
_HEADER = "image_path,patient_id,exam_id,exam_date,laterality,view,label,lesion_type,lesion_box"


@dataclass(frozen=True)
class _Row:
    """A row of the CSV: one image."""

    path: str
    patient: int
    exam: int
    side: str
    view: str
    malignant: bool

    @property
    def line(self) -> str:
        patient = self.patient
        date = f"20{10 + self.exam % _EXAMS}-{1 + patient % 12:02d}-{1 + patient % 28:02d}"
        box = " ".join(map(str, _BOX))
        lesion = f"{('mass', 'calc')[patient % 2]},{box}" if self.malignant else ","
        exam = f"PT{patient:07d},E{self.exam:07d},{date}"
        return f"{self.path},{exam},{self.side},{self.view},{int(self.malignant)},{lesion}"


def _rows(images: int) -> Iterator[_Row]:
    for number in range(images):
        exam, at = divmod(number, _PER_EXAM)
        patient = exam // _EXAMS
        side, view = _VIEWS[at]
        malignant = _share(f"label {patient} {side}") < 0.1
        path = f"{number // _PER_FOLDER:04d}/{number:07d}.png"
        yield _Row(path, patient, exam, side, view, malignant)


def prepare(folder: Path, images: int) -> None:
    """Write the source, and the facts about its files that an earlier index has stored."""
    root = folder / "source"
    with (folder / "table.csv").open("w") as table:
        print(_HEADER, file=table)
        for row in _rows(images):
            file = root / row.path
            if file.name.endswith("000.png"):
                file.parent.mkdir(parents=True)
            file.touch()
            print(row.line, file=table)
    _store_facts(folder, images)


def _store_facts(folder: Path, images: int) -> None:
    from mammo_core.sources.files.file_fact_cache import FileFactCache
    from mammo_core.sources.files.file_inspection import (
        _IMAGE_INSPECTION,
        SHOWN_PER_GROUP,
        _ImageInspection,
    )
    from mammo_core.sources.files.image_files import _IMAGE_FILE, ImageFile
    from mammo_core.sources.identity.exams import _HEADER_KEYS, HeaderKeys
    from mammo_core.sources.identity.patients import fingerprint, site_key
    from mammo_core.sources.lesions.lesion_rows import _MASK_OR_REASON
    from mammo_core.sources.lesions.masks import MaskFile

    store, files = scale_store(folder), scale_recipe(folder).source.files()
    cache = FileFactCache()
    key, entries = fingerprint(site_key()), files.entries
    mask = f"box:{','.join(map(str, _BOX))}"
    mask_facts = MaskFile(mask, _digest(mask), False)
    thumbnail = base64.b64encode(bytes(176 * 136 * 2)).decode()
    shown = {
        name
        for label in (False, True)
        for name in sorted(
            (row.path for row in _rows(images) if row.malignant == label), key=_digest
        )[:SHOWN_PER_GROUP]
    }

    def note(question: str, name: str, answers: Any, answer: Any) -> None:
        cache.cached(question, [entries[name]], answers, lambda: answer)

    for row in _rows(images):
        name = row.path
        share = _share(name)
        note("image", name, _IMAGE_FILE, ImageFile(name, _digest(name), _facts(share)))
        note(f"header keys {key}", name, _HEADER_KEYS, HeaderKeys())
        inspection = _ImageInspection(
            "0.070 mm (ImagerPixelSpacing)", _digest(f"pixels {name}"),
            thumbnail if name in shown else "", "", measures(share),
        )  # fmt: skip
        question = f"audit, compare: True, draw: {name in shown}, measure: True"
        note(question, name, _IMAGE_INSPECTION, inspection)
        if row.malignant:
            note(f"mask {mask} of {(_ROWS, _COLUMNS)}", name, _MASK_OR_REASON, mask_facts)
    cache.write(store, files.uri)


def _facts(share: float) -> Any:
    from mammo_core.dicom import ImageFacts

    return ImageFacts(
        transfer_syntax="1.2.840.10008.1.2.4.70", photometric="MONOCHROME2", modality="MG",
        manufacturer=("HOLOGIC", "SIEMENS", "GE")[int(share * 3)], rows=_ROWS, columns=_COLUMNS,
        bits_stored=12, spacing_mm=0.07, spacing_source="ImagerPixelSpacing",
        image_type="ffdm", body_part="breast", area_mm2=41746.0,
    )  # fmt: skip


def measures(share: float) -> Any:
    from mammo_core.imaging import GrayMeasures

    return GrayMeasures(
        low=0.0, median=0.1, bright=0.7, high=0.8, mean=0.2 + 0.1 * share, used_range=0.8,
        steps=3000, levels=2500, background=0.0, background_share=0.5, darkest_corner=0.0,
        contrast=0.4, breast_share=0.35, breast_contact=0.9, chest_wall="left", structure=0.9,
        smoothness=0.95, jumps=0.0,
    )  # fmt: skip


def _share(text: str) -> float:
    return int(_digest(text)[:8], 16) / 2**32


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def scale_recipe(folder: Path) -> Any:
    """Return the recipe of the source."""
    from mammo_core.recipes import load_recipe

    settings = [f"source.root={folder / 'source'}", f"source.tables={folder / 'table.csv'}"]
    return load_recipe("own_data", settings)


def scale_store(folder: Path) -> Any:
    """Return the store of the outputs."""
    from mammo_core.store import open_store

    return open_store(f"file://{folder / 'store'}")


def only_output(folder: Path, kind: Any) -> Any:
    """Return the one published output of a kind."""
    store = scale_store(folder)
    keys = [key for key in store.list(f"{kind.folder}/") if key.endswith("/manifest.json")]
    return kind.read(store, min(keys).split("/")[-2])


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

    store, tables, recipe = scale_store(folder), only_output(folder, TABLES), scale_recipe(folder)
    images = read_table(store, tables, "images.parquet").sort_values("image_id")
    ids = images["image_id"].to_numpy()
    draw = np.random.default_rng(1)
    values: dict[str, Any] = {
        "image_id": ids,
        "mean": draw.normal(9000, 1500, len(ids)),
        "picture": _pictures(len(ids)),
        "standard_deviation": draw.normal(9000, 500, len(ids)),
        "warnings": "",
        **{f"{MEASURE_PREFIX}{name}": value for name, value in asdict(measures(0.5)).items()},
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
