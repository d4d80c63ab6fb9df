"""The card of a data set is valid Croissant 1.1, and says what the tables say."""

import json
import logging

import pytest

from mammo_core.phantom import PhantomConfig, create
from mammo_core.recipes import load_recipe
from mammo_core.runs import Run
from mammo_core.sources.card.croissant import CARD
from mammo_core.steps import index
from mammo_core.store import open_store


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    root = tmp_path_factory.mktemp("card")
    create(root / "tree", PhantomConfig(patients=6, seed=4, height=96, width=72), workers=1)
    store = open_store(str(root / "store"))
    run = Run(store, "r")
    run.write_recipe(load_recipe("phantom", [f"source.root={root / 'tree'}"]))
    manifest, _ = index.execute(run)
    return store, manifest


def test_the_validator_accepts_the_card(indexed, caplog):
    """mlcroissant reads it, with the tables beside it, and gives their records."""
    import mlcroissant

    store, manifest = indexed
    path = store.fetch(manifest.file(CARD).key)
    with caplog.at_level(logging.WARNING):
        dataset = mlcroissant.Dataset(jsonld=str(path))
    assert dataset.metadata.ctx.issues.errors == set()
    assert dataset.metadata.ctx.is_v1_1()
    records = list(dataset.records(record_set="images"))
    assert len(records) == manifest.counts["images"]
    assert {record["images/image_id"] for record in records[:3]}
    assert dataset.metadata.data_biases and dataset.metadata.personal_sensitive_information


def test_the_card_says_what_the_tables_say(indexed):
    store, manifest = indexed
    card = json.loads(store.read(manifest.file(CARD).key))
    assert card["conformsTo"] == [
        "http://mlcommons.org/croissant/1.1",
        "http://mlcommons.org/croissant/RAI/1.0",
    ]
    assert card["license"] == "none needed: drawn by a program"
    files = {file["name"]: file["sha256"] for file in card["distribution"]}
    assert files == {
        name: manifest.file(name).sha256
        for name in ("images.parquet", "lesions.parquet", "rejects.parquet")
    }
    counts = manifest.counts
    assert f"{counts['images']} mammograms of {counts['patients']} patients" in card["description"]
    assert any("Images by view: " in text for text in card["rai:dataBiases"])


def test_a_card_with_a_fault_is_not_valid(indexed, tmp_path):
    import mlcroissant

    store, manifest = indexed
    card = json.loads(store.read(manifest.file(CARD).key))
    card["recordSet"][0]["field"][0]["source"]["fileObject"]["@id"] = "gone.parquet"
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(mlcroissant.ValidationError):
        mlcroissant.Dataset(jsonld=str(tmp_path / "card.json"))
