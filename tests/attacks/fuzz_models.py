"""Mutated model files through what reads them: `python fuzz_models.py FOLDER FILES SEED`.

Five kinds of files in turn: `.keras` archives and `.h5` files with damaged bytes, archives with
an edited configuration or other weights and correct checksums, `.h5` files with an edited
configuration, and packages with a damaged file and correct digests. Each goes through the function
behind `mammo models import-keras2` or `mammo models verify`, which must refuse it with an error in
three parts, or read it as a network. Prints a JSON object: how many were read and refused, by kind;
the peak memory of this process and of its children (MB); the seconds of the slowest; faults.
"""

import io
import json
import os
import resource
import shutil
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))

#: What a number in a configuration becomes.
NUMBERS = (0, -1, 1, 3, 2**31, 2**40, 10**30, 1e308, None, True, "x", [], {})
CLASSES = (
    "Lambda", "Dense", "Conv2D", "Flatten", "Embedding", "RepeatVector", "UpSampling2D",
    "os.system", "StringLookup", "TFSMLayer", "Functional", "Sequential",
)  # fmt: skip


def damaged(data, draw):
    """Return bytes with flipped bits, cut off, or with a piece lost or doubled."""
    changed, kind = bytearray(data), draw.integers(0, 3)
    if kind == 0:
        for position in draw.integers(0, len(changed), draw.integers(1, 30)):
            changed[position] ^= 1 << draw.integers(0, 8)
    elif kind == 1:
        del changed[draw.integers(0, len(changed)) :]
    else:
        start, length = draw.integers(0, len(changed)), draw.integers(1, 256)
        piece = changed[start : start + length]
        changed[start : start + length] = b"" if draw.integers(0, 2) else piece * 2
    return bytes(changed)


def edited(config, draw):
    """Change a few values anywhere in a configuration."""
    for _ in range(draw.integers(1, 4)):
        slots = [slot for slot in walk(config) if not isinstance(slot[0][slot[1]], dict | list)]
        holder, key = slots[draw.integers(0, len(slots))]
        if key == "class_name":
            holder[key] = str(draw.choice(CLASSES))
        elif draw.integers(0, 8) == 0 and isinstance(holder, dict):
            del holder[key]
        else:
            holder[key] = NUMBERS[draw.integers(0, len(NUMBERS))]
    return config


def walk(value):
    """Yield (holder, key) of everything in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(items):
        yield value, key
        if isinstance(item, dict | list) and item:
            yield from walk(item)


def repacked(data, draw):
    """Return an archive with another configuration or other weights; its checksums are right."""
    out = io.BytesIO()
    part = ("config.json", "config.json", "metadata.json", "model.weights.h5")[draw.integers(0, 4)]
    method = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[draw.integers(0, 2)]
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", method) as new:
        for name in old.namelist():
            content = old.read(name)
            if name == part == "config.json":
                content = json.dumps(edited(json.loads(content), draw)).encode()
            elif name == part:
                content = damaged(content, draw)
            new.writestr(name, content)
    return out.getvalue()


def edited_h5(data, draw, path):
    import h5py

    path.write_bytes(data)
    with h5py.File(path, "a") as file:
        config = edited(json.loads(file.attrs["model_config"]), draw)
        file.attrs["model_config"] = json.dumps(config).encode()
    return path


def damaged_package(package, draw, path):
    """Copy a package with one damaged file; its SHA256SUMS are those of what it contains."""
    from mammo_core.packaging.signatures.checksums import write_sums

    shutil.copytree(package, path)
    names = sorted(file.name for file in path.iterdir() if file.name != "SHA256SUMS")
    file = path / names[draw.integers(0, len(names))]
    content = file.read_bytes()
    if file.suffix == ".json" and draw.integers(0, 2):
        document = json.loads(content)
        if any(True for _ in walk(document)):
            content = json.dumps(edited(document, draw)).encode()
    else:
        content = repacked(content, draw) if file.suffix == ".keras" else damaged(content, draw)
    file.write_bytes(content)
    write_sums(path)
    return path


def originals(folder):
    """Write a network as `.keras`, as `.h5` of Keras 2, and as a package."""
    import keras2_files
    import keras2_networks

    from mammo_core.models import save_model
    from mammo_core.packaging import build
    from mammo_core.preprocessing import Geometry, Preprocessing

    network = keras2_files.randomize(keras2_networks.tower(classes=2))
    save_model(network, folder / "m.keras")
    keras2_files.write(network, folder / "m.h5")
    build(
        folder / "package",
        name="fuzz",
        image_model=network,
        preprocessing=Preprocessing(
            geometry=Geometry(height=48, width=40), mean=100.0, channels=network.inputs[0].shape[-1]
        ),
        label_map={"neg": 0, "pos": 1},
    )


def main(folder, count, seed):
    from mammo_core.errors import MammoError
    from mammo_core.packaging import load
    from mammo_core.packaging.imported import import_model
    from mammo_core.packaging.keras_file import import_keras

    import_keras()
    from mammo_core.models import load_model

    originals(folder)
    archive, h5 = ((folder / name).read_bytes() for name in ("m.keras", "m.h5"))
    counts, faults, slowest = Counter(), [], 0.0
    kinds = ("keras-damaged", "h5-damaged", "keras-edited", "h5-edited", "package")
    for number in range(count):
        draw, kind = np.random.default_rng([seed, number]), kinds[number % len(kinds)]
        path = folder / f"mutated-{number}{'' if kind == 'package' else '.' + kind.split('-')[0]}"
        if kind == "package":
            damaged_package(folder / "package", draw, path)
        elif kind == "h5-edited":
            edited_h5(h5, draw, path)
        else:
            data = h5 if kind == "h5-damaged" else archive
            path.write_bytes(
                repacked(data, draw) if kind == "keras-edited" else damaged(data, draw)
            )
        start = time.monotonic()
        try:
            if kind == "package":
                load(path)
            elif path.suffix == ".h5":
                import_model(path, folder / "imported.keras", preprocessing="ddsm")
            else:
                load_model(path)
            counts[f"{kind} read"] += 1
        except MammoError as error:
            counts[f"{kind} refused"] += 1
            if not (error.problem and error.expected and error.received) or len(str(error)) > 3000:
                faults.append(f"{number} {kind}: {str(error)[:300]}")
        except Exception as error:
            faults.append(f"{number} {kind}: {type(error).__name__}: {str(error)[:300]}")
        slowest = max(slowest, time.monotonic() - start)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    usage = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    memory = [used.ru_maxrss // 1024 for used in usage]
    print(json.dumps({**dict(sorted(counts.items())), "memory_mb": memory,
                      "slowest_s": round(slowest, 1), "faults": faults[:20]}))  # fmt: skip


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]), int(sys.argv[3]))
