"""Steps of a run over three data sets of three vendors, one of which is held out."""

import json
from pathlib import Path

import pytest
import yaml

from mammo_core import steps
from mammo_core.datasets.tables import read_table
from mammo_core.errors import RecipeError, SourceError
from mammo_core.features.frame import frame_from_manifest
from mammo_core.phantom import PhantomConfig, create
from mammo_core.recipes import load_recipe
from mammo_core.runs import Run
from mammo_core.sources.card.known_terms import stated_terms
from mammo_core.sources.kinds import TABLES
from mammo_core.sources.several.names import name_of, split_path
from mammo_core.store import open_store

NAMES = ("film", "bright", "dark")


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("three")
    for vendor, name in enumerate(NAMES):
        config = PhantomConfig(
            patients=12, seed=vendor, height=96, width=72, vendors=1, first_vendor=vendor
        )
        create(folder / name, config, workers=1)
    return folder


def recipe_of(roots, *overrides, **changes):
    values = yaml.safe_load(Path("tests/e2e/recipe.yaml").read_text())
    del values["source"]
    sources = [
        {"name": name, "adapter": "cbis_ddsm", "root": str(roots / name), **changes.get(name, {})}
        for name in NAMES
    ]
    values |= {
        "sources": sources,
        "convert": {"geometry": {"height": 96, "width": 72}, "shard_mb": 1},
        "split": {"name": "stratified", "test": 0.3, "validation": 0.25},
    }
    return load_recipe(json.dumps(values), overrides)


EXTERNAL = {"dark": {"role": "external"}}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return open_store((tmp_path_factory.mktemp("store") / "store").as_uri())


def begin(store, name, recipe):
    run = Run(store, name)
    run.write_recipe(recipe)
    return run


@pytest.fixture(scope="module")
def outputs(roots, store):
    run = begin(store, "three", recipe_of(roots, **EXTERNAL))
    tables = steps.index(run)
    images = steps.convert(run, tables=tables)
    return tables, images, steps.publish_features(run, tables=tables, images=images)


def test_the_tables_name_the_sources(outputs, store):
    tables = outputs[0]
    images = read_table(store, tables, "images.parquet")
    assert set(images["source_name"]) == set(NAMES)
    assert (images["patient_key"].map(name_of) == images["source_name"]).all()
    vendors = images.groupby("source_name")["manufacturer"].unique()
    assert {name: list(v) for name, v in vendors.items()} == {
        "film": ["mammo pipelines"],
        "bright": ["mammo pipelines b"],
        "dark": ["mammo pipelines c"],
    }
    facts = TABLES.facts_of(tables).source
    assert facts["roles"] == {"film": "training", "bright": "training", "dark": "external"}
    assert [terms.name for terms in stated_terms(tables)] == ["phantom"]
    page = store.read(tables.file("audit.html").key).decode()
    assert all(name in page for name in NAMES)


def test_each_source_has_the_tables_of_a_run_of_its_own(outputs, store, roots):
    values = yaml.safe_load(Path("tests/e2e/recipe.yaml").read_text())
    values["source"]["root"] = str(roots / "bright")
    alone = steps.index(begin(store, "alone", load_recipe(json.dumps(values))))
    assert outputs[0].lineage["tables_bright"] == alone.id


def test_every_image_of_every_source_has_a_record(outputs):
    tables, images, _ = outputs
    assert images.counts["images"] == tables.counts["images"]
    assert images.counts["rejected_lesions"] == 0


def test_external_patients_are_in_no_split_of_training(outputs, store):
    frame = frame_from_manifest(store, outputs[2])
    rows = frame.images
    assert set(rows.loc[rows["source_name"] == "dark", "split"]) == {"external"}
    for split in ("train", "validation", "test"):
        assert set(rows.loc[rows["split"] == split, "source_name"]) == {"film", "bright"}
        assert frame.facts.sources["film"]["splits"][split]["patients"] > 0
        assert "dark" not in {name_of(key) for key in frame.image_labels(split)}
    external = frame.facts.sources["dark"]["splits"]
    assert set(external) == {"external"} and external["external"]["patients"] == 12
    train = rows[rows["split"] == "train"]
    assert frame.mean == pytest.approx(
        float(train["intensity_mean"].mean()) * frame.rescale_factor, abs=1e-4
    )


def test_a_role_changes_the_frame_and_no_record(outputs, store, roots):
    run = begin(store, "all", recipe_of(roots))
    tables = steps.index(run)
    images = steps.convert(run, tables=tables)
    frame = frame_from_manifest(store, steps.publish_features(run, tables=tables, images=images))
    assert images.id == outputs[1].id
    before = frame_from_manifest(store, outputs[2]).images.set_index("image_id")["split"]
    after = frame.images.set_index("image_id")["split"]
    kept = before.index[before != "external"]
    assert (before[kept] == after[kept]).all()  # patients keep their sides
    assert set(after[before.index[before == "external"]]) == {"train", "validation", "test"}


def test_a_data_set_in_two_sources_is_held_out_of_the_external_test(store, roots):
    twice = {"dark": {"root": str(roots / "film"), "role": "external"}}
    run = begin(store, "twice", recipe_of(roots, **twice))
    tables = steps.index(run)
    images = read_table(store, tables, "images.parquet")
    assert set(images["source_name"]) == {"film", "bright"}
    assert tables.counts["left_out"] == (images["source_name"] == "film").sum()


def test_the_policy_of_a_source_goes_before_that_of_the_recipe(store, roots):
    strict = {"bright": {"images": {"types": {"ffdm": "reject"}}}}
    tables = steps.index(begin(store, "policy", recipe_of(roots, **strict)))
    rejects = read_table(store, tables, "rejects.parquet")
    items = rejects.loc[rejects["cause"] == "type", "item"]
    assert len(items) and set(items.map(lambda item: split_path(item)[0])) == {"bright"}
    images = read_table(store, tables, "images.parquet")
    assert "dark" in set(images["source_name"])  # of the same type, under the recipe's policy


def test_one_root_cannot_be_given_for_several_sources(roots):
    with pytest.raises(RecipeError, match="source or sources; received both"):
        recipe_of(roots, "source.root=elsewhere")


def test_a_missing_root_names_the_folder(store, roots):
    run = begin(store, "missing", recipe_of(roots, film={"root": str(roots / "nowhere")}))
    with pytest.raises(SourceError, match="nowhere"):
        steps.index(run)
