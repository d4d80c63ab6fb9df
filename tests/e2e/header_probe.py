"""Measure the cost of hostile headers for each command, in a separate process.

`python header_probe.py FOLDER SECONDS [COMMAND [FILE]]` prints a JSON object per line: command,
file, processor seconds, peak memory above the idle process in MB, and the reason of the reject.
Each command reads a valid file first, so that imports and building a network do not count. After
SECONDS processor seconds the process ends by SIGXCPU. FOLDER is created if it does not exist.
"""

import csv
import json
import resource
import sys
import time
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "dicom"))
from hostile import COLUMNS, HEADLINES, ROWS, hostile


def inspect(path, folder):
    from typer.testing import CliRunner

    from mammo_core.cli.dicom import app

    return json.loads(CliRunner().invoke(app, ["inspect", "--json", str(path)]).stdout)["reason"]


def index(path, folder):
    from mammo_core.sources import SourceConfig
    from mammo_core.sources import index as index_files

    tree = build_tree(path, folder)
    tables = index_files(SourceConfig(adapter="folders", root=str(tree)), workers=1)
    assert len(tables.images) + len(tables.rejects) == 2, tables.rejects
    return first_reason(tables.rejects)


def convert(path, folder):
    from mammo_core.datasets.tables import read_table
    from mammo_core.ingest.convert import ConvertConfig
    from mammo_core.ingest.convert import convert as convert_files
    from mammo_core.ingest.runner import RunnerConfig
    from mammo_core.preprocessing import Geometry
    from mammo_core.store import open_store
    from mammo_core.store.base import file_sha256

    tree = build_tree(path, folder)
    images, lesions = valid_tables(folder)
    images = images.copy()
    # The file was replaced after it was indexed, and its digest is the one that a bucket reports.
    row = images["path"].str.startswith("train/pos")
    images.loc[row, "sha256"] = file_sha256(path)
    images.loc[row, "image_id"] = file_sha256(path)
    store = open_store(str(folder / f"store-{path.stem}"))
    manifest = convert_files(
        store,
        images,
        lesions,
        root=tree,
        config=ConvertConfig(geometry=Geometry(height=96, width=72), shard_mb=1),
        runner=RunnerConfig(workers=1),
        lineage={"tables": "t"},
    )
    return first_reason(read_table(store, manifest, "rejects.parquet"))


def score(path, folder):
    from mammo_core.scoring import ScoreOptions
    from mammo_core.scoring import score as score_files

    out = folder / f"scores-{path.stem}"
    files = folder / f"files-{path.stem}"
    files.mkdir(exist_ok=True)
    (files / "a.dcm").write_bytes(path.read_bytes())
    score_files(package(folder), [files], out / "scores.csv", ScoreOptions(batch_size=1))
    with next(iter(out.glob("*rejects*.csv"))).open(newline="") as file:
        rejects = list(csv.DictReader(file))
    return rejects[0]["reason"] if rejects else None


def serve(path, folder):
    response = client(folder).post("/score", content=path.read_bytes())
    if response.status_code == 200:
        return None
    assert 400 <= response.status_code < 500, response.text
    return f"{response.status_code} {response.text}"


COMMANDS = {command.__name__: command for command in (inspect, index, convert, score, serve)}


def build_tree(path, folder):
    """Two views as class folders: a valid one, and the file."""
    tree = folder / f"tree-{path.stem}"
    for name, source in (("neg/P_00001_LEFT_CC.dcm", "other"), ("pos/P_00002_LEFT_CC.dcm", "")):
        target = tree / "train" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((path.with_stem(source) if source else path).read_bytes())
    return tree


def first_reason(rejects):
    return rejects["reason"].iloc[0] if len(rejects) else None


@cache
def valid_tables(folder):
    from mammo_core.sources import SourceConfig
    from mammo_core.sources import index as index_files

    tree = build_tree(folder / "valid.dcm", folder)
    tables = index_files(SourceConfig(adapter="folders", root=str(tree)), workers=1)
    assert len(tables.images) == 2, tables.rejects
    return tables.images, tables.lesions


def drawn_pixels(seed):
    from tests.support.drawings import draw_breast

    data = draw_breast(seed, shape=(ROWS, COLUMNS)).astype("<u2").tobytes()
    return lambda writer: writer.element(0x7FE00010, "OW", data)


@cache
def package(folder):
    from mammo_core.packaging import build, load
    from mammo_core.packaging.keras_file import import_keras
    from mammo_core.preprocessing import Geometry, Preprocessing

    keras = import_keras()
    image = keras.Input((48, 36, 1))
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(image)
    x = keras.layers.GlobalMaxPooling2D()(x)
    if not (folder / "package").exists():
        build(
            folder / "package",
            name="probe",
            image_model=keras.Model(image, keras.layers.Dense(2, activation="softmax")(x)),
            preprocessing=Preprocessing(geometry=Geometry(height=48, width=36), mean=100.0),
            label_map={"neg": 0, "pos": 1},
        )
    return load(folder / "package")


@cache
def client(folder):
    from starlette.testclient import TestClient

    from mammo_core.serving import ServeConfig
    from mammo_core.serving.app import create_app

    service = create_app(package(folder), "probe", "1", ServeConfig())
    return TestClient(service, base_url="http://127.0.0.1").__enter__()


def memory_mb():
    """Return the resident memory of this process now, and its peak since the last reset (MB)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return [int(status[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")]


def processor_time():
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def measure(command, path, folder, seconds):
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets the peak
    idle, before, start = memory_mb()[0], processor_time(), time.monotonic()
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(before + seconds) + 1, hard))
    reason = COMMANDS[command](path, folder)
    resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))
    return {
        "command": command,
        "file": path.stem,
        "cpu_s": round(processor_time() - before, 2),
        "wall_s": round(time.monotonic() - start, 2),
        "mb": round(memory_mb()[1] - idle, 1),
        "reason": reason,
    }


def main(folder, seconds, commands, names):
    folder.mkdir(exist_ok=True)
    (folder / "valid.dcm").write_bytes(hostile(pixels=drawn_pixels(1)))
    (folder / "other.dcm").write_bytes(hostile(pixels=drawn_pixels(2)))
    for name in names:
        (folder / f"{name}.dcm").write_bytes(HEADLINES[name]())
    for command in commands:
        reason = COMMANDS[command](folder / "valid.dcm", folder)
        assert reason is None, reason
        for name in names:
            print(json.dumps(measure(command, folder / f"{name}.dcm", folder, seconds)), flush=True)


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        float(sys.argv[2]),
        sys.argv[3:4] or list(COMMANDS),
        sys.argv[4:5] or list(HEADLINES),
    )
