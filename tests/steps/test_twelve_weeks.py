"""Twelve weeks of a growing source, without training: sides, ids, labels, cost, a withdrawal."""

import json

import cv2
import pandas as pd
import pytest

from mammo_core import steps
from mammo_core.datasets.shards import read_shard, record_image_id
from mammo_core.datasets.tables import read_table
from mammo_core.features import MAIN
from mammo_core.features.assignments import read_assignment
from mammo_core.features.kinds import ASSIGNMENT, FRAME
from mammo_core.features.labels import publish_labels
from mammo_core.recipes import load_recipe
from mammo_core.runs import Run
from mammo_core.runs.forget import forget
from mammo_core.sources.identity.patients import patient_key
from mammo_core.steps.data import publish_features
from mammo_core.store import open_store
from tests.support.breast_pictures import draw_breast

KEY = "0123456789abcdef" * 2
WEEKS, FIRST, WEEKLY = 12, 40, 2
#: Weeks with a frame: before and after each event.
FRAMES = (5, 7, 11)
CORRECTED, WITHDRAWN = 5, 7  # weeks


class Site:
    """A folder to which patients are added, and a store of results."""

    def __init__(self, folder):
        self.folder, self.count = folder, 0
        self.store = open_store((folder / "store").as_uri())
        (folder / "images").mkdir()

    def add(self, count):
        for number in range(self.count, self.count + count):
            cv2.imwrite(str(self.folder / "images" / f"{number}.png"), draw_breast(number))
        self.count += count
        rows = [f"P{n},{n}.png,L,CC,{int(n % 3 == 0)}" for n in range(self.count)]
        text = "\n".join(["patient_id,image_path,laterality,view,label", *rows])
        (self.folder / "table.csv").write_text(text + "\n")

    def run(self, name, with_frame=True):
        run = Run(self.store, name)
        settings = [
            "source.adapter=table",
            f"source.root={self.folder}/images",
            f"source.tables={self.folder}/table.csv",
            "convert.geometry={height: 24, width: 18}",
            "sampling.patch_size=16",
            "split={name: stratified}",
        ]
        run.write_recipe(load_recipe("phantom", settings))
        tables = steps.index(run)
        images = steps.convert(run, tables=tables)
        if not with_frame:
            return tables, images, None
        return tables, images, publish_features(run, tables=tables, images=images)


@pytest.fixture(scope="module")
def weeks(tmp_path_factory):
    """Week → its outputs; what happened in between is in the names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAMMO_SITE_KEY", KEY)
        site = Site(tmp_path_factory.mktemp("site"))
        outputs, written = {}, {}
        for week in range(WEEKS):
            site.add(WEEKLY if week else FIRST)
            outputs[week] = site.run(f"week-{week}", week in FRAMES)
            written[week] = len(outputs[week][1].files)
            if week == CORRECTED:
                outputs["again"] = site.run("again")
            table = read_table(site.store, outputs[week][0], "images.parquet")
            if week == CORRECTED:
                image = table.loc[table["malignant"] == 0, "image_id"].iloc[0]
                rows = [("image", image, 1, "")]
                columns = ["kind", "id", "malignant", "pathology"]
                publish_labels(site.store, pd.DataFrame(rows, columns=columns), MAIN)
                outputs["corrected"] = image
            if week == WITHDRAWN:
                she = patient_key(KEY.encode(), "P1")
                outputs["hers"] = set(table.loc[table["patient_key"] == she, "image_id"])
                outputs["before"] = records(site.store, outputs[week][1])
                outputs["sides"] = sides(site.store, outputs[week][2])
                forget(site.store, she, None)
                outputs["withdrawn"] = she
        yield site.store, outputs


def sides(store, frame):
    current = FRAME.read(store, frame.id)  # a withdrawal writes it again
    table = read_table(store, current, "splits.parquet")
    return dict(zip(table["patient_key"], table["split"], strict=True))


def records(store, images):
    return {
        record_image_id(record) for file in images.files_like("shard-")
        for record in read_shard(store, file)
    }  # fmt: skip


def test_nobody_changes_sides(weeks):
    store, outputs = weeks
    known = {}
    for week in FRAMES:
        now = sides(store, outputs[week][2])
        assert {k: side for k, side in now.items() if k in known} == {
            k: side for k, side in known.items() if k in now
        }
        assert set(now.values()) == {"train", "validation", "test"}
        known |= now
    assert len(known) == FIRST + WEEKLY * (WEEKS - 1) - 1  # those of weeks without a frame too
    state = read_assignment(store, ASSIGNMENT.read(store, outputs[11][2].lineage["sides"]))
    assert {key: side[0] for (_, key), side in state.patients.items()} == known


def test_the_same_inputs_give_the_same_ids(weeks):
    _, outputs = weeks
    assert [each.id for each in outputs["again"]] == [each.id for each in outputs[CORRECTED]]
    assert len({outputs[week][2].id for week in FRAMES}) == len(FRAMES)


def test_the_cost_follows_the_new_data(weeks):
    outputs = weeks[1]
    for week in range(1, WEEKS):
        before = {f.key for f in outputs[week - 1][1].files_like("shard-")}
        new = [f for f in outputs[week][1].files_like("shard-") if f.key not in before]
        # After the withdrawal, the shard that she was in is another file.
        most = WEEKLY if week != WITHDRAWN + 1 else FIRST + WEEKLY * week
        assert sum(file.count or 0 for file in new) <= most, week


def test_a_corrected_label_stands_from_then_on(weeks):
    store, outputs = weeks
    image = outputs["corrected"]
    for week in FRAMES:
        current = FRAME.read(store, outputs[week][2].id)
        frame = read_table(store, current, "images.parquet").set_index("image_id")
        assert frame.loc[image, "label"] == int(week > CORRECTED)


def test_a_withdrawn_patient_is_nowhere(weeks):
    store, outputs = weeks
    hers, she = outputs["hers"], outputs["withdrawn"]
    assert hers and hers <= outputs["before"] and she in outputs["sides"]
    for week in range(WITHDRAWN + 1, WEEKS):
        tables, images, frame = outputs[week]
        assert not hers & records(store, images)
        assert she not in set(read_table(store, tables, "images.parquet")["patient_key"])
        assert frame is None or she not in sides(store, frame)
    for key in store.list(""):
        data = store.read(key)
        assert she.encode() not in data and not any(each.encode() in data for each in hers), key
    assert json.loads(store.read("runs/week-11/recipe.json"))
