"""`mammo store forget`: nothing of a patient is left in a store, and she does not come back."""

import base64
import gzip
import json

import cv2
import pandas as pd
import pytest
from typer.testing import CliRunner

from mammo_core.cli.models import app as models_app
from mammo_core.cli.store import app
from mammo_core.datasets.manifests import publish, put_bytes
from mammo_core.datasets.outputs import make_output
from mammo_core.datasets.shards import read_shard, record_image_id
from mammo_core.datasets.tables import from_parquet, put_table, read_table, to_parquet
from mammo_core.datasets.verification import verify_store
from mammo_core.errors import ModelError, RecordError
from mammo_core.features.kinds import FRAME, FrameFacts
from mammo_core.ingest import ConvertConfig, RunnerConfig, convert
from mammo_core.ingest.kinds import IMAGE_DATASET
from mammo_core.packaging.signatures.keys import SigningKey, is_signed_by, load_public_key
from mammo_core.preprocessing import Geometry
from mammo_core.runs import Run
from mammo_core.runs.forget import forget
from mammo_core.runs.patient_traces import REMOVED_PAGE
from mammo_core.runs.withdrawn import withdrawals, withdrawn_text
from mammo_core.scoring.kinds import SCORES, ScoreFacts
from mammo_core.sources import SourceConfig
from mammo_core.sources.identity.patients import patient_key
from mammo_core.sources.source_index import make_tables
from mammo_core.steps.step import StepContext
from mammo_core.store import open_store
from tests.support.breast_pictures import draw_breast
from tests.support.key_fixtures import make_key
from tests.support.registry_fixtures import put_version

KEY = "0123456789abcdef" * 2
SHE, OTHER = patient_key(KEY.encode(), "Ann"), patient_key(KEY.encode(), "Bea")


def make_source(folder):
    """A table of four images of three patients."""
    rows = ["patient_id,image_path,laterality,view,label"]
    for number, (name, patient, view) in enumerate(
        (("a", "Ann", "CC"), ("b", "Ann", "MLO"), ("c", "Bea", "CC"), ("d", "Cleo", "CC"))
    ):
        cv2.imwrite(str(folder / f"{name}.png"), draw_breast(number))
        rows.append(f"{patient},{name}.png,L,{view},{int(patient == 'Ann')}")
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    return SourceConfig(adapter="table", root=str(folder), tables=str(folder / "table.csv"))


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A store with what a run of the source leaves: tables, records, a frame, scores, a model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAMMO_SITE_KEY", KEY)
        folder = tmp_path_factory.mktemp("forget")
        source = make_source(folder)
        store = open_store((folder / "store").as_uri())
        tables = make_output(store, "tables/t", lambda attempt: make_tables(attempt, source))
        images = read_table(store, tables, "images.parquet")
        records = convert(
            store,
            images,
            read_table(store, tables, "lesions.parquet"),
            root=str(folder),
            config=ConvertConfig(geometry=Geometry(height=48, width=36)),
            runner=RunnerConfig(workers=1),
            lineage={"tables": tables.id},
        )
    splits = {SHE: "train", OTHER: "test"}
    rows = images.assign(split=images["patient_key"].map(splits).fillna("validation"))
    frame = output(
        store,
        FRAME,
        FrameFacts(mean=1.0, rescale_factor=1.0, shuffled_labels=False, leaking_patients=(SHE,)),
        {"tables": tables.id, "images": records.id},
        {"images.parquet": rows, "splits.parquet": rows[["patient_key", "split"]]},
    )
    scores = rows[["image_id", "path", "patient_key"]].rename(
        columns={"image_id": "id", "patient_key": "patient"}
    )
    output(
        store,
        SCORES,
        ScoreFacts(model_uri="m", model_name="m", warned=0),
        {"model": "m"},
        {"scores.csv": scores, "report.html": b"<p>her picture", "heat.png": b"her picture"},
    )
    put_version(store, "m", 1, {"frame_id": frame.id}, "0" * 64)
    store.write("features/image_label/rows-1-a.parquet", to_parquet(rows[["image_id", "label"]]) if
                "label" in rows else to_parquet(rows[["image_id", "malignant"]]))  # fmt: skip
    status = {"output": f"frames/{frame.id}/manifest.json", "worst": [SHE, OTHER]}
    store.write("runs/r/steps/publish-features.json", json.dumps(status).encode())
    store.write("runs/r/publish-features.html", b"<p>her picture")
    store.write("runs/other/index.html", b"<p>another run")
    days = {SHE: {"": 0}, OTHER: {"": 0}}
    store.write("tables/exam-days/none.json.gz", gzip.compress(json.dumps(days).encode()))
    return store, source, set(images.loc[images["patient_key"] == SHE, "image_id"])


def output(store, kind, facts, lineage, files):
    manifest = kind.manifest(
        kind.content_id({"n": len(files)}), config={}, facts=facts, lineage=lineage
    )
    stored = []
    for name, value in files.items():
        if isinstance(value, bytes):
            stored.append(put_bytes(store, manifest.folder, name, value))
        elif name.endswith(".csv"):
            data = value.to_csv(index=False).encode()
            stored.append(put_bytes(store, manifest.folder, name, data))
        else:
            stored.append(put_table(store, manifest.folder, name, value))
    return publish(store, manifest.model_copy(update={"files": tuple(stored)}))


@pytest.fixture
def store(filled, tmp_path, monkeypatch):
    """A copy of that store."""
    import shutil

    monkeypatch.setenv("MAMMO_SITE_KEY", KEY)
    shutil.copytree(filled[0].root, tmp_path / "store")
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture
def key(tmp_path):
    return make_key(tmp_path, "mine")


def contents(store):
    """Yield (key, text) of everything in a store, tables and archives as text."""
    for name in store.list(""):
        data = store.read(name)
        if name.endswith(".parquet"):
            yield name, from_parquet(data).to_csv()
        elif name.endswith(".gz"):
            yield name, gzip.decompress(data).decode()
        else:
            yield name, data.decode(errors="replace")


def test_nothing_of_her_is_left(store, filled, key, capsys):
    _, source, hers = filled
    signing = SigningKey(key.private.read_bytes())
    before = {name: text for name, text in contents(store) if SHE in text}
    assert len(before) >= 5
    result = forget(store, SHE, signing)
    assert result.images == 2
    assert result.models == ["m/1: train"]
    for name, text in contents(store):
        for secret in (SHE, *hers, "a.png", "b.png", "her picture"):
            assert secret not in text, (name, secret)
    # The rest is as it was, and whole.
    assert verify_store(store).faults == {}
    assert OTHER in dict(contents(store))["tables/exam-days/none.json.gz"]
    (records,) = manifests(store, IMAGE_DATASET)
    kept = [r for f in records.files_like("shard-") for r in read_shard(store, f)]
    assert len(kept) == 2 and not hers & set(map(record_image_id, kept))
    (frame,) = manifests(store, FRAME)
    assert set(read_table(store, frame, "images.parquet")["patient_key"]) >= {OTHER}
    assert frame.facts["leaking_patients"] == []
    assert store.read("runs/r/publish-features.html") == REMOVED_PAGE
    assert store.read("runs/other/index.html") != REMOVED_PAGE
    status = json.loads(store.read("runs/r/steps/publish-features.json"))
    assert status["worst"] == [OTHER]
    # What rests on her says so: the scores, the model, and one that is pushed of it later.
    counts = withdrawals(store)
    (scored,) = manifests(store, SCORES)
    assert counts[scored.folder] == counts["m/1"] == 1 and "m/2" not in counts
    assert withdrawn_text(scored, counts).startswith("patient withdrawn: ")
    assert not withdrawn_text(frame, counts)
    context = StepContext("score", Run(store, "again"))
    context.reuse(scored)
    assert "patient withdrawn" in capsys.readouterr().out
    put_version(store, "m", 2, {"evaluation_id": scored.id}, "1" * 64)
    put_version(store, "m", 3, {"evaluation_id": "2" * 32}, "2" * 64)
    listed = CliRunner().invoke(models_app, ["list", "--store", store.uri]).output.splitlines()
    assert [line.endswith("patient withdrawn") for line in listed] == [True, True, False]

    tombstone = json.loads(store.read(result.tombstone))
    signature = tombstone.pop("signature")
    content = json.dumps({"key": result.tombstone, **tombstone}, sort_keys=True).encode()
    kind = "application/vnd.mammo-pipelines.tombstone+json"
    public = load_public_key(key.public.read_bytes(), "mine")
    assert is_signed_by(public, kind, content, base64.b64decode(signature))
    assert not is_signed_by(public, kind, content + b" ", base64.b64decode(signature))

    # She does not come back with her files; only her number is reported.
    again = make_output(store, "tables/t", lambda attempt: make_tables(attempt, source))
    assert SHE not in set(read_table(store, again, "images.parquet")["patient_key"])
    rejects = read_table(store, again, "rejects.parquet")
    assert rejects["cause"].tolist() == ["forgotten"]
    assert "1 patients with 2 images" in rejects["reason"].iloc[0]


def manifests(store, kind):
    ids = {name.split("/")[-2] for name in store.list(f"{kind.folder}/") if "manifest" in name}
    return [kind.read(store, id) for id in sorted(ids)]


def test_an_interrupted_call_is_completed_by_the_next(store, filled, monkeypatch):
    """Killed at any write: the tables that say which images are hers come last."""
    hers = filled[2]

    class KilledError(BaseException):
        pass

    original, count = type(store).write_if, 0

    def write_if(self, name, data, previous):
        nonlocal count
        count += not name.startswith(".leases")
        if count > limit:
            raise KilledError
        return original(self, name, data, previous)

    monkeypatch.setattr(type(store), "write_if", write_if)
    limit = 0
    while True:
        limit, count = limit + 1, 0
        try:
            result = forget(store, SHE, None)
            break
        except KilledError:
            continue
    assert limit > 3
    assert result.images in (0, 2)
    for name, text in contents(store):
        assert not [secret for secret in (SHE, *hers) if secret in text], name
    assert verify_store(store).faults == {}


def test_a_patient_whom_no_table_has_is_an_error(store):
    with pytest.raises(RecordError, match="knows no such patient") as caught:
        forget(store, "P_99999", None)
    assert "P_99999" not in str(caught.value)
    assert not list(store.list("tables/tombstones/"))


def test_the_command_takes_an_id_from_standard_input(store, monkeypatch, key):
    runner = CliRunner()
    words = ["forget", "-", store.uri, "--patient-id", "--yes", "--json"]
    for name in ("MAMMO_SIGNING_KEY", "MAMMO_SIGNING_KEY_FILE", "MAMMO_TRUST"):
        monkeypatch.delenv(name, raising=False)
    result = runner.invoke(app, words, input="Ann\n")
    assert isinstance(result.exception, ModelError)
    assert "cannot be signed" in str(result.exception)
    assert not list(store.list("tables/tombstones/"))
    monkeypatch.setenv("MAMMO_SIGNING_KEY_FILE", str(key.private))
    result = runner.invoke(app, words, input="Ann\n")
    assert result.exit_code == 0, result.exception
    assert json.loads(result.stdout)["models"] == ["m/1: train"]
    assert "Ann" not in result.stdout and SHE not in result.stdout
    refused = runner.invoke(app, ["forget", "Ann", store.uri, "--patient-id", "--yes"])
    assert "Ann" not in str(refused.exception)


def test_rows_of_others_are_kept():
    from mammo_core.runs.patient_traces import Traces, pruned, without_patient

    traces = Traces("P_1", {"P_1", "a" * 64}, {"a" * 64})
    table = pd.DataFrame({"patient_key": ["P_1", "P_10"], "image_id": ["a" * 64, "b" * 64]})
    kept = from_parquet(without_patient("t.parquet", to_parquet(table), traces))
    assert kept["patient_key"].tolist() == ["P_10"]
    text = without_patient("t.csv", b"id,view\r\nx,P_1_LEFT_CC\r\ny,P_10_LEFT_CC\r\n", traces)
    assert text == b"id,view\ny,P_10_LEFT_CC\n"
    value = {"worst": ["P_1", "P_10"], "by": {"P_1": 1, "P_10": 2}, "rows": [{"id": "a" * 64}]}
    assert pruned(value, traces) == {"worst": ["P_10"], "by": {"P_10": 2}, "rows": []}
