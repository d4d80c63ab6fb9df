"""What does scoring mammograms cost, against decoding and the forward pass alone?

500 uncompressed 4664 x 3064 16-bit DICOM files go through a package of the `phantom` recipe's
size (288 x 224). The floor is the least that a score takes, on the same files in the same run:
read, decode (pydicom), full range, one area resize, normalise, forward pass in batches of 8.
Scoring also hashes every file, reads header facts and patient keys, keeps a journal and writes
the tables. `ratio` is of processor time; `clock_ratio` of time by the clock, where scoring
decodes beside the network. Memory is that of a process of its own, in a long scoring and in a
short one.

    PYTHONPATH=. .venv/bin/python benchmarks/score.py [--json] [--quick]
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

ROWS, COLUMNS = 4664, 3064
HEIGHT, WIDTH = 288, 224
BATCH = 8
#: Files that differ; links name each of them many times over, so that a disk holds them.
DISTINCT = 16


def make_files(folder: Path, count: int) -> Path:
    """Write files with a breast of texture, linked until there are enough."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import (
        DigitalMammographyXRayImageStorageForPresentation,
        ExplicitVRLittleEndian,
    )

    row, column = np.ogrid[:ROWS, :COLUMNS]
    inside = (row - ROWS // 2) ** 2 + column**2 < 2200**2
    texture = np.random.default_rng(1).integers(0, 2**14, (ROWS, COLUMNS), dtype=np.uint16)
    images = folder / "images"
    images.mkdir()
    for number in range(min(count, DISTINCT)):
        data = Dataset()
        data.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
        data.SOPInstanceUID = f"1.2.826.0.1.3680043.8.498.{number}"
        data.PatientID = f"benchmark-{number // 4}"
        data.Modality, data.PresentationIntentType = "MG", "FOR PRESENTATION"
        data.ImageLaterality, data.ViewPosition = "LR"[number % 2], ("CC", "MLO")[number // 2 % 2]
        data.Rows, data.Columns = ROWS, COLUMNS
        data.SamplesPerPixel, data.PixelRepresentation = 1, 0
        data.PhotometricInterpretation = "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
        pixels = np.where(inside, 20000 + 400 * number + texture, 0).astype("<u2")
        data.PixelData = pixels.tobytes()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.save_as(images / f"{number:05d}.dcm", enforce_file_format=True)
    for number in range(DISTINCT, count):
        os.link(images / f"{number % DISTINCT:05d}.dcm", images / f"{number:05d}.dcm")
    return images


def make_package(folder: Path) -> Path:
    """Package an untrained whole-image classifier as the phantom recipe makes it."""
    from mammo_core.packaging import TrainingData, build
    from mammo_core.packaging.keras_file import import_keras
    from mammo_core.preprocessing import Geometry, Preprocessing

    import_keras()
    from mammo_core.models import HeadConfig, NetworkConfig, build_patch_network, to_whole_image

    patch = build_patch_network(NetworkConfig(name="compact"), (56, 56), 5, seed=1)
    head = HeadConfig(depths=(48, 48), repetitions=(1, 1))
    build(
        folder,
        name="benchmark",
        image_model=to_whole_image(patch, head, (HEIGHT, WIDTH), seed=1),
        preprocessing=Preprocessing(
            geometry=Geometry(height=HEIGHT, width=WIDTH),
            mean=40.0,
            channels=patch.input_shape[-1],
        ),
        label_map={"neg": 0, "pos": 1},
        training_data=TrainingData(views=("CC", "MLO")),
    )
    return folder


def floor(package: Any, files: list[Path]) -> None:
    """Decode and forward pass, and nothing else."""
    from mammo_core.imaging import resize, to_full_range

    preprocessing = package.preprocessing
    for start in range(0, len(files), BATCH):
        batch = []
        for path in files[start : start + BATCH]:
            pixels = pydicom.dcmread(io.BytesIO(path.read_bytes())).pixel_array
            batch.append(resize(to_full_range(pixels, 16), HEIGHT, WIDTH, "forced", "area"))
        batch += batch[-1:] * (BATCH - len(batch))
        package.model.predict_on_batch(preprocessing.to_network(np.stack(batch)))


def score(package: Any, images: Path, out: Path) -> None:
    """A whole scoring."""
    from mammo_core.scoring import ScoreOptions
    from mammo_core.scoring import score as score_files

    done = score_files(package, [images], out, ScoreOptions(batch_size=BATCH))
    if done.rejected or not done.scored:
        raise SystemExit(f"not everything was scored: {done}")


def cost(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds of the processors and by the clock."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.process_time() - cpu, time.perf_counter() - clock


def peak_mb(folder: Path, count: int) -> float:
    """Peak resident memory (MB) of a process that scores `count` of the files."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_scoring, args=(folder, count, sender))
    process.start()
    peak = receiver.recv()
    process.join()
    return float(peak)


def _scoring(folder: Path, count: int, sender: Any) -> None:
    from mammo_core.packaging import load

    os.environ["MAMMO_SITE_KEY"] = "0" * 32
    package = load(folder / "package")
    some = folder / f"some-{count}"
    some.mkdir()
    for path in sorted((folder / "images").iterdir())[:count]:
        os.link(path, some / path.name)
    with contextlib.redirect_stdout(io.StringIO()):
        score(package, some, folder / f"{count}.csv")
    # Not ru_maxrss: that of the process which started this one stays in it.
    status = Path("/proc/self/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    sender.send(int(line.split()[1]) * 1024 / 1e6)


def measure(rounds: int, count: int) -> dict[str, Any]:
    """Everything, in one run."""
    os.environ["MAMMO_SITE_KEY"] = "0" * 32
    with tempfile.TemporaryDirectory(prefix="mammo-benchmark-") as place:
        folder = Path(place)
        images = make_files(folder, count)
        make_package(folder / "package")
        from mammo_core.packaging import load

        package = load(folder / "package")
        files = sorted(images.iterdir())
        floor(package, files[:BATCH])  # traced, page cache
        score(package, images, folder / "warm.csv")
        floors, scores = [], []
        for number in range(rounds):
            floors.append(cost(lambda: floor(package, files)))
            out = folder / f"{number}.csv"
            scores.append(cost(lambda out=out: score(package, images, out)))
            sys.stderr.write(f"floor {floors[-1]}\nscore {scores[-1]}\n")
        same = {(folder / f"{number}.csv").read_bytes() for number in range(rounds)}
        short, long = peak_mb(folder, max(count // 10, BATCH)), peak_mb(folder, count)
    pairs = list(zip(scores, floors, strict=True))
    return {
        "ratio": round(statistics.median(mine[0] / bare[0] for mine, bare in pairs), 3),
        "clock_ratio": round(statistics.median(mine[1] / bare[1] for mine, bare in pairs), 3),
        "floor_cpu_ms": round(statistics.median(bare[0] for bare in floors) / count * 1000, 1),
        "score_cpu_ms": round(statistics.median(mine[0] for mine in scores) / count * 1000, 1),
        "images_per_s": round(count / statistics.median(mine[1] for mine in scores), 2),
        "peak_mb": round(long, 1),
        "peak_mb_of_a_tenth": round(short, 1),
        "same_bytes": len(same) == 1,
        "images": count,
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--quick", action="store_true", help="few images, rough figures")
    told = parser.parse_args()
    found = measure(*((2, 48) if told.quick else (told.rounds, told.images)))
    if told.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    lines = [
        ("decode + forward pass (CPU ms an image)", found["floor_cpu_ms"], ""),
        ("scoring (CPU ms an image)", found["score_cpu_ms"], ""),
        ("scoring / (decode + forward pass)", found["ratio"], "at most 1.3"),
        ("  by the clock", found["clock_ratio"], ""),
        ("images a second", found["images_per_s"], ""),
        (f"memory, peak of {found['images']} images (MB)", found["peak_mb"], "flat"),
        ("  of a tenth of them (MB)", found["peak_mb_of_a_tenth"], ""),
        ("the same bytes every time", str(found["same_bytes"]), "True"),
    ]
    for name, value, wanted in lines:
        sys.stdout.write(f"{name:42} {value:>8}  {wanted}\n".rstrip() + "\n")


if __name__ == "__main__":
    main()
