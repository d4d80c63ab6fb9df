"""After a kill at any moment, a second run publishes the same, and nothing partial is readable.

MAMMO_KILLS sets how often; the moments depend on the seed.
"""

import json
import os
import pickle
import random
import subprocess
import sys
import time
from uuid import uuid4

import pytest

from mammo_core.datasets import parse
from mammo_core.datasets.manifests import verify_file
from mammo_core.datasets.shards import read_shard
from mammo_core.ingest import ConvertConfig, RunnerConfig, convert, sample
from mammo_core.preprocessing import Geometry
from mammo_core.runs.garbage import find_garbage
from mammo_core.runs.removal import remove_garbage
from mammo_core.sampling import SamplingConfig
from mammo_core.store import open_store, store_time
from tests.support.ingest import digests, published_digests
from tests.support.processes import start_child

KILLS = int(os.environ.get("MAMMO_KILLS", "3"))
SEED = 20

_WORK = """
import pickle, sys
from mammo_core.ingest import ConvertConfig, RunnerConfig, convert, sample
from mammo_core.preprocessing import Geometry
from mammo_core.sampling import SamplingConfig
from mammo_core.store import open_store
import apache_beam
store = open_store(sys.argv[1])
images, lesions, root = pickle.load(open(sys.argv[2], "rb"))
runner = RunnerConfig(workers=2)
print("go", flush=True)
dataset = convert(store, images, lesions, root=root, lineage={"tables": "t"}, runner=runner,
    config=ConvertConfig(geometry=Geometry(height=432, width=324), shard_mb=1))
sample(store, dataset, SamplingConfig(patch_size=24, lesion_patches=2,
    background_patches=2), 1, runner)
"""


@pytest.fixture(scope="module")
def tables(phantom_tables, tmp_path_factory):
    path = tmp_path_factory.mktemp("killed") / "tables"
    source = (phantom_tables.images, phantom_tables.lesions, phantom_tables.root)
    path.write_bytes(pickle.dumps(source))
    return path


def count_complete_datasets(store):
    """Check that everything a reader can reach is complete; return how many datasets there are."""
    count = 0
    for key in store.list(""):
        if key.endswith("/manifest.json"):
            manifest = parse(store.read(key), key)
            for file in manifest.files:
                verify_file(store, file)
            records = sum(1 for f in manifest.files_like("shard-") for _ in read_shard(store, f))
            assert records == manifest.counts["patches" if "patches" in key else "images"]
            count += 1
        elif "/notes/" in key:
            json.loads(store.read(key))
    return count


def finish(store, source):
    runner = RunnerConfig(workers=2)
    config = ConvertConfig(geometry=Geometry(height=432, width=324), shard_mb=1)
    options = {"root": source.root, "config": config, "runner": runner, "lineage": {"tables": "t"}}
    images = convert(store, source.images, source.lesions, **options)
    sampling = SamplingConfig(patch_size=24, lesion_patches=2, background_patches=2)
    return images.id, sample(store, images, sampling, 1, runner).id


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["file", pytest.param("s3", marks=pytest.mark.s3)])
def test_killed_at_random_moments(kind, tmp_path, phantom_tables, tables, request):
    plain = open_store(str(tmp_path / "plain"))
    start = time.monotonic()
    ids = finish(plain, phantom_tables)
    length = time.monotonic() - start
    expected = digests(plain, "")
    if kind == "s3":
        request.getfixturevalue("s3_environment")
    draw = random.Random(SEED)
    midway = 0
    for number in range(KILLS):
        root = tmp_path / str(number) if kind == "file" else f"s3://mammo-killed/{uuid4().hex}"
        store = open_store(str(root))
        command = [sys.executable, "-c", _WORK, store.uri, str(tables)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with start_child(command, **pipes) as process:
            assert process.stdout.readline() == b"go\n"
            # Even kills come while images are converted, on a busy machine too.
            time.sleep(draw.uniform(0, (0.3, 1.5)[number % 2] * length))
            process.kill()  # SIGKILL: no cleanup
        midway += count_complete_datasets(store) < 2
        assert finish(store, phantom_tables) == ids
        assert count_complete_datasets(store) == 2
        assert published_digests(store) == expected
        # Whatever the moment, gc finds what the killed process left: shards without a note, notes
        # of a dataset that was published, parts of files.
        report = find_garbage(store, ids, grace_s=0, now=store_time(store) + 3600)
        remove_garbage(store, report)
        assert digests(store, "") == expected and not list(store.unfinished_writes())
    assert midway, "every kill came too late"
