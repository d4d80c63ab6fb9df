"""Compare the cost of scoring mammograms with decoding and the forward pass alone.

500 uncompressed 4664 x 3064 16-bit DICOM files go through a package of the `phantom` recipe's
size (288 x 224). The floor is the least that scoring can take, on the same files in the same run:
read, decode (pydicom), full range, one area resize, normalize, forward pass in batches of 8.
Scoring also hashes every file, reads header facts and patient keys, keeps a journal and writes
the tables. `ratio` compares processor times; `clock_ratio` wall times, where scoring
decodes in parallel with the network. Memory is that of a separate process, for a long and for a
short scoring run.

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
#: Number of different files; each is linked many times to save disk space.
DISTINCT = 16


def make_files(folder: Path, count: int) -> Path:
    """Write files with a textured breast, linked until there are enough."""
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
    """Package an untrained whole-image classifier like that of the phantom recipe."""
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
    """Do the decoding and the forward pass, and nothing else."""
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
    """Run a whole scoring."""
    from mammo_core.scoring import ScoreOptions
    from mammo_core.scoring import score as score_files

    result = score_files(package, [images], out, ScoreOptions(batch_size=BATCH))
    if result.rejected or not result.scored:
        raise SystemExit(f"not everything was scored: {result}")


def cost(work: Callable[[], None]) -> tuple[float, float]:
    """Return the seconds of processor time and of wall time."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.process_time() - cpu, time.perf_counter() - clock


def peak_mb(folder: Path, count: int) -> float:
    """Return the peak resident memory (MB) of a process that scores `count` of the files."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_score_in_process, args=(folder, count, sender))
    process.start()
    peak = receiver.recv()
    process.join()
    return float(peak)


def _score_in_process(folder: Path, count: int, sender: Any) -> None:
    from mammo_core.packaging import load

    os.environ["MAMMO_SITE_KEY"] = "0" * 32
    package = load(folder / "package")
    subset = folder / f"subset-{count}"
    subset.mkdir()
    for path in sorted((folder / "images").iterdir())[:count]:
        os.link(path, subset / path.name)
    with contextlib.redirect_stdout(io.StringIO()):
        score(package, subset, folder / f"{count}.csv")
    # Not ru_maxrss: it includes that of the parent process.
    status = Path("/proc/self/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    sender.send(int(line.split()[1]) * 1024 / 1e6)


def measure(rounds: int, count: int) -> dict[str, Any]:
    """Run the whole benchmark."""
    os.environ["MAMMO_SITE_KEY"] = "0" * 32
    with tempfile.TemporaryDirectory(prefix="mammo-benchmark-") as temporary:
        folder = Path(temporary)
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
        "ratio": round(statistics.median(work[0] / bare[0] for work, bare in pairs), 3),
        "clock_ratio": round(statistics.median(work[1] / bare[1] for work, bare in pairs), 3),
        "floor_cpu_ms": round(statistics.median(bare[0] for bare in floors) / count * 1000, 1),
        "score_cpu_ms": round(statistics.median(work[0] for work in scores) / count * 1000, 1),
        "images_per_s": round(count / statistics.median(work[1] for work in scores), 2),
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
    options = parser.parse_args()
    result = measure(*((2, 48) if options.quick else (options.rounds, options.images)))
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
        return
    lines = [
        ("decode + forward pass (CPU ms per image)", result["floor_cpu_ms"], ""),
        ("scoring (CPU ms per image)", result["score_cpu_ms"], ""),
        ("scoring / (decode + forward pass)", result["ratio"], "at most 1.3"),
        ("  wall time", result["clock_ratio"], ""),
        ("images per second", result["images_per_s"], ""),
        (f"memory, peak of {result['images']} images (MB)", result["peak_mb"], "constant"),
        ("  of a tenth of them (MB)", result["peak_mb_of_a_tenth"], ""),
        ("the same bytes in every round", str(result["same_bytes"]), "True"),
    ]
    for name, value, target in lines:
        sys.stdout.write(f"{name:42} {value:>8}  {target}\n".rstrip() + "\n")


if __name__ == "__main__":
    main()
