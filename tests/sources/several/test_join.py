"""The tables of several sources as one: names before ids and paths, files in several sources."""

import pickle

import pandas as pd
import pytest

from mammo_core.errors import SourceError
from mammo_core.features.data_checks.contamination import (
    patients_seen,
    persons,
    same_patients,
    with_namespace,
)
from mammo_core.sources import SourceConfig, SplitConfig, index
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.several.join import COPY_CAUSE, join_tables, links_of
from mammo_core.sources.several.joined_files import JoinedFiles
from mammo_core.sources.several.names import name_of, named_id, plain_id, split_path
from mammo_core.sources.splitting.linked_sides import left_out, linked_sides
from mammo_core.sources.splitting.sides import Vault

ROLES = {"one": "training", "two": "training", "out": "external"}


@pytest.fixture(scope="module")
def part(phantom):
    return index(SourceConfig(adapter="cbis_ddsm", root=str(phantom)))


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    from mammo_core.phantom import PhantomConfig, create

    root = tmp_path_factory.mktemp("several") / "phantom"
    create(root, PhantomConfig(patients=8, height=96, width=72), workers=1)
    return root


def halves(part, first):
    """Tables of two sources: the first patients, and all others and the last of the first."""
    from dataclasses import replace

    keys = sorted(part.images["patient_key"].unique())
    chosen = keys[:first], keys[first - 1 :]
    return tuple(
        replace(
            part,
            images=part.images[part.images["patient_key"].isin(names)].reset_index(drop=True),
            lesions=part.lesions[part.lesions["patient_key"].isin(names)].reset_index(drop=True),
        )
        for names in chosen
    )


def test_ids_and_paths_begin_with_the_name_of_the_source(part):
    one, two = halves(part, 4)
    joined = join_tables({"one": one, "two": two}, ROLES).tables
    for table in (joined.images, joined.lesions):
        for column in ("patient_key", "view_id"):
            assert set(table[column].map(name_of)) == {"one", "two"}
    assert joined.lesions["lesion_id"].is_unique
    assert {split_path(path)[0] for path in joined.images["path"]} == {"one", "two"}
    assert set(joined.images["source_name"]) == {"one", "two"}
    assert set(joined.images["patient_key"].map(plain_id)) == set(part.images["patient_key"])
    assert len(joined.images) == len(part.images)  # the shared patient is there once
    assert set(joined.images["source"]) == {"cbis_ddsm"}


def test_a_file_of_two_sources_is_an_image_of_the_first_training_source(part):
    one, two = halves(part, 4)
    shared = sorted(part.images["patient_key"].unique())[3]
    count = int((part.images["patient_key"] == shared).sum())
    # The external source comes first in the recipe, and the training source keeps the file.
    joined = join_tables({"out": two, "one": one}, ROLES)
    hers = joined.tables.images[joined.tables.images["patient_key"].map(plain_id) == shared]
    assert set(hers["source_name"]) == {"one"}
    assert links_of(joined.links) == [(f"out:{shared}", f"one:{shared}")]
    rejects = joined.tables.rejects
    assert (rejects["cause"] == COPY_CAUSE).sum() == count
    assert all(item.startswith("out/") for item in rejects["item"])
    assert joined.tables.facts["left_out"][COPY_CAUSE] == count
    assert set(joined.tables.lesions["image_id"]) <= set(joined.tables.images["image_id"])


def test_the_order_of_the_sources_changes_no_row(part):
    one, two = halves(part, 4)
    first = join_tables({"one": one, "out": two}, ROLES).tables
    second = join_tables({"out": two, "one": one}, ROLES).tables
    pd.testing.assert_frame_equal(first.images, second.images)
    pd.testing.assert_frame_equal(first.lesions, second.lesions)


def test_files_of_several_sources(phantom, part, tmp_path):
    files = JoinedFiles({"a": SourceFiles.open(str(phantom)), "b": SourceFiles.open(str(tmp_path))})
    (tmp_path / "note.txt").write_bytes(b"hello")
    path = part.images["path"].iloc[0]
    again = pickle.loads(pickle.dumps(files))
    with again.as_local_file(f"a/{path}") as local:
        assert local == phantom / path
    assert again.sha256(f"a/{path}") == part.images["image_id"].iloc[0]
    assert again.head("b/note.txt", 4) == b"hell"
    assert "b/note.txt" in again.entries
    with pytest.raises(SourceError, match=r"c/note\.txt is of no source"):
        again.local("c/note.txt")


def test_the_same_pseudonym_of_a_published_set_is_one_patient_and_of_phantoms_it_is_not():
    images = pd.DataFrame(
        {
            "image_id": ["1", "2", "3", "4"],
            "patient_key": ["one:P_1", "two:P_1", "one:h1", "two:h1"],
            "source": ["cbis_ddsm", "cbis_ddsm", "table", "table"],
            "manufacturer": ["HOLOGIC", "", "GE", "GE"],
            "source_name": ["one", "two", "one", "two"],
        }
    )
    rows = with_namespace(images)
    assert list(rows["namespace"]) == ["cbis_ddsm", "cbis_ddsm", "site", "site"]
    assert list(persons(rows))[:2] == [("cbis_ddsm", "P_1")] * 2
    assert same_patients(rows) == [("one:P_1", "two:P_1")]
    earlier = with_namespace(
        pd.DataFrame(
            {
                "image_id": ["9"],
                "patient_key": ["P_1"],
                "source": ["cbis_ddsm"],
                "manufacturer": [""],
            }
        )
    )
    assert patients_seen(rows, earlier) == {"one:P_1", "two:P_1"}
    phantoms = rows.drop(columns="namespace").assign(manufacturer="mammo pipelines b")
    assert same_patients(with_namespace(phantoms)) == []


def test_every_split_has_its_share_of_each_source_and_links_keep_patients_together():
    keys = [named_id(name, f"p{at:02d}") for name in ("one", "two") for at in range(40)]
    images = pd.DataFrame(
        {
            "image_id": [f"i{key}" for key in keys],
            "patient_key": keys,
            "malignant": [at % 2 for at in range(80)],
            "lesion_types": "mass",
            "official_splits": "",
            "source_name": [name_of(key) for key in keys],
        }
    )
    config = SplitConfig(name="stratified", test=0.25)
    sides = linked_sides(images, config, {}, Vault(), {})
    for name in ("one", "two"):
        mine = [side for key, (side,) in sides.items() if name_of(key) == name]
        assert mine.count("test") == 10
    alone = linked_sides(images[images["source_name"] == "one"], config, {}, Vault(), {})
    assert {key: sides[key] for key in alone} == alone  # whatever else is in the run
    links = {"one:p03": "one:p03", "two:p07": "one:p03"}
    linked = linked_sides(images, config, {}, Vault(), links)
    assert linked["one:p03"] == linked["two:p07"]


def test_a_copy_of_a_training_patient_leaves_the_external_test():
    sides = {"one:p1": "train", "out:p1": "external", "two:p2": "test", "out:p2": "external"}
    links = {"one:p1": "o", "out:p1": "o", "two:p2": "t", "out:p2": "t"}
    assert left_out(sides, links) == {"out:p1", "out:p2"}
