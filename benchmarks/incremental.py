"""Compare the cost of adding 1 % of images with that of converting all of them.

A phantom source of N images goes through index, convert and sample into an empty store (the
full conversion); then 1 % more images are added to the source, and the same steps run again.
The benchmark counts the files whose pixels are decoded, and the processor seconds of the process
(all threads). The second run includes everything that covers all images: listing, tables, ids,
the audit page. The result must be the dataset of a conversion from scratch: the id and the digest
of every record are compared.

    PYTHONPATH=. .venv/bin/python benchmarks/incremental.py [--json] [--images 400]
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STEPS = ("index", "convert", "sample")
SIZE = (2294, 1864)
RECIPE = {
    "convert.geometry.height": 1152,
    "convert.geometry.width": 896,
    "convert.shard_mb": 32,
    "sampling.preset": "S10",
    "sampling.patch_size": 224,
    "runner.workers": 1,
}


@contextlib.contextmanager
def count_decoded_files() -> Iterator[Counter[str]]:
    """Count the image and mask files whose pixels are decoded."""
    from mammo_core import dicom

    counts: Counter[str] = Counter()
    original = dicom.read_image

    def read(path: Any, name: str = "", *more: Any, **options: Any) -> Any:
        counts[str(path)] += 1
        return original(path, name, *more, **options)

    # Every module that uses the reader; the first run has imported them.
    users = [
        module
        for name, module in list(sys.modules.items())
        if name.startswith("mammo_core.")
        and not name.startswith("mammo_core.dicom")
        and getattr(module, "read_image", None) is original
    ]
    for module in users:
        module.read_image = read  # type: ignore[attr-defined]
    try:
        yield counts
    finally:
        for module in users:
            module.read_image = original  # type: ignore[attr-defined]


def run(store: str, root: Path, name: str) -> dict[str, Any]:
    """Run the steps; returns the cost of each and the manifests."""
    from mammo_core import steps
    from mammo_core.recipes import load_recipe
    from mammo_core.runs import Run
    from mammo_core.store import open_store

    settings = [f"{key}={json.dumps(value)}" for key, value in RECIPE.items()]
    record = Run.open(open_store(store), name)
    record.write_recipe(load_recipe("phantom", [f"source.root={json.dumps(str(root))}", *settings]))
    result: dict[str, Any] = {"cpu_s": {}, "decoded": {}}
    inputs = {"index": (), "convert": ("tables",), "sample": ("images",)}
    outputs = {"index": "tables", "convert": "images", "sample": "patches"}
    for step in STEPS:
        arguments = {key: result[key] for key in inputs[step]}
        started = time.process_time()
        with count_decoded_files() as counts, contextlib.redirect_stdout(io.StringIO()):
            result[outputs[step]] = getattr(steps, step)(record, **arguments)
        result["cpu_s"][step] = round(time.process_time() - started, 3)
        result["decoded"][step] = sum(counts.values())
    return result


def records(store: str, manifest: Any) -> dict[str, str]:
    """Return record id → SHA-256 of the record."""
    from mammo_core.datasets.shards import read_shard, record_id
    from mammo_core.store import open_store

    opened = open_store(store)
    return {
        record_id(data): hashlib.sha256(data).hexdigest()
        for file in manifest.files_like("shard-")
        for data in read_shard(opened, file)
    }


def measure(images: int, fraction: float) -> dict[str, Any]:
    """Run the full conversion, add images, and compare with the full conversion."""
    from mammo_core.phantom import PhantomConfig, create

    with tempfile.TemporaryDirectory(prefix="mammo-incremental-") as temporary:
        folder = Path(temporary)
        patients = max(images * 10 // 27, 4)
        height, width = SIZE
        root = folder / "tree"
        with contextlib.redirect_stdout(io.StringIO()):
            create(root, PhantomConfig(patients=patients, seed=5, height=height, width=width))
            few = PhantomConfig(patients=4, seed=6, height=height, width=width)
            create(folder / "few", few)
        run(f"file://{folder}/warm", folder / "few", "warm")  # imports
        full = run(f"file://{folder}/full", root, "full")
        total = full["images"].counts["planned"]
        added = max(round(total * fraction), 1)
        _remove_images(folder, root, f"file://{folder}/full", full["tables"], added)
        grown_store = f"file://{folder}/grown"
        run(grown_store, root, "before")
        _restore_images(folder, root)
        grown = run(grown_store, root, "grown")
        same = all(
            full[kind].id == grown[kind].id
            and records(f"file://{folder}/full", full[kind]) == records(grown_store, grown[kind])
            for kind in ("images", "patches")
        )
    cpu = {name: sum(run["cpu_s"].values()) for name, run in (("full", full), ("grown", grown))}
    decoded = {n: sum(run["decoded"].values()) for n, run in (("full", full), ("grown", grown))}
    return {
        "cpu_share": round(cpu["grown"] / cpu["full"], 4),
        "decoded_share": round(decoded["grown"] / decoded["full"], 4),
        "same_datasets": same,
        "images": total,
        "added_images": added,
        "full_cpu_s": full["cpu_s"],
        "added_cpu_s": grown["cpu_s"],
        "full_decoded": full["decoded"],
        "added_decoded": grown["decoded"],
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
    }


def _remove_images(folder: Path, root: Path, store: str, tables: Any, added: int) -> None:
    """Move the files of some images, and of their masks, out of the tree."""
    from mammo_core.datasets.tables import read_table
    from mammo_core.store import open_store

    opened = open_store(store)
    images = read_table(opened, tables, "images.parquet").sort_values("image_id")
    lesions = read_table(opened, tables, "lesions.parquet")
    chosen = images.iloc[:: max(len(images) // added, 1)][:added]
    masks = lesions[lesions["image_id"].isin(set(chosen["image_id"]))]["mask_path"]
    for name in {*chosen["path"], *masks}:
        target = folder / "removed" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(root / name, target)


def _restore_images(folder: Path, root: Path) -> None:
    removed = folder / "removed"
    for path in sorted(removed.rglob("*")):
        if path.is_file():
            shutil.move(path, root / path.relative_to(removed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--images", type=int, default=400, help="approximate number")
    parser.add_argument("--share", type=float, default=0.01, help="fraction that is added")
    options = parser.parse_args()
    result = measure(options.images, options.share)
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
        return
    lines = [
        ("images", result["images"], ""),
        ("added", result["added_images"], ""),
        *((f"full {step} (CPU s)", result["full_cpu_s"][step], "") for step in STEPS),
        *((f"added {step} (CPU s)", result["added_cpu_s"][step], "") for step in STEPS),
        ("fraction of processor time", result["cpu_share"], "under 0.05"),
        ("fraction of decoded files", result["decoded_share"], "under 0.05"),
        ("the same datasets", result["same_datasets"], "True"),
    ]
    for name, value, target in lines:
        sys.stdout.write(f"{name:28} {value!s:>10}  {target}\n".rstrip() + "\n")


if __name__ == "__main__":
    main()
