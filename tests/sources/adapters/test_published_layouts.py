"""Each published data set, as the phantom draws it: exact counts, places of lesions, quirks."""

import json

import pytest

from mammo_core.phantom import PhantomConfig, create
from mammo_core.phantom.draw import draw_scene
from mammo_core.phantom.layouts.layout import published_layouts
from mammo_core.sources import SourceConfig, SourceFiles, index
from mammo_core.sources.adapter import get_adapter
from mammo_core.sources.auditing.policy import ImagePolicy
from mammo_core.sources.check import check_source, fact_lines
from mammo_core.sources.lesions.masks import load_mask

#: Causes that leave images out of each layout by default.
LEFT_OUT = {
    "vindr_mammo": {"unknown_label"},
    "rsna_2023": {"modifier", "view"},
    "cmmd": {"unknown_label"},
    "embed": {"modifier"},
    "csaw_cc": {"unknown_label"},
    "mias": set(),
    "bcdr": {"unknown_label"},
}
SMALL = {"patients": 14, "seed": 5, "height": 96, "width": 72}
ACCEPT_ALL = ImagePolicy(views="accept", modifiers="accept")


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    root = tmp_path_factory.mktemp("published")
    for layout in published_layouts():
        create(root / layout, PhantomConfig(**SMALL, layout=layout), workers=1)
    return root


@pytest.fixture(scope="module")
def indexed(trees):
    return {
        name: index(SourceConfig(adapter=name, root=str(trees / name)), policy=ACCEPT_ALL)
        for name in published_layouts()
    }


@pytest.mark.parametrize("name", LEFT_OUT)
def test_every_image_is_read_with_its_label(name, trees, indexed):
    counts = json.loads((trees / name / "phantom.json").read_text())["counts"]
    tables = indexed[name]
    labels = tables.images["malignant"].value_counts().to_dict()
    assert labels == {1: counts["malignant"], 0: counts["not_malignant"]}
    causes = tables.rejects["cause"].value_counts().to_dict()
    without = counts["without_label"]
    assert causes == ({"unknown_label": without} if without else {})
    assert tables.facts["counted"]["images"] == counts["mammograms"]
    assert tables.images["patient_key"].nunique() <= counts["patients"]
    assert set(tables.images["source"]) == {name}
    by_default = index(SourceConfig(adapter=name, root=str(trees / name)))
    assert set(by_default.rejects["cause"]) == LEFT_OUT[name]


@pytest.mark.parametrize("name", LEFT_OUT)
def test_the_tables_alone_give_the_same_counts(name, trees, indexed):
    facts = check_source(SourceConfig(adapter=name, root=".", tables=str(trees / name)), False)
    assert facts["rejects"] == []
    if name == "cmmd":  # side and view are in the headers
        assert facts["published"]["breasts"] == 14 and "views" not in facts
        return
    counted = dict(indexed[name].facts["counted"])
    if name == "mias":  # circles are counted from the lower edge of an image
        counted.pop("lesions")
    assert facts["counted"] == counted
    lines = "\n".join(fact_lines(get_adapter(name), facts))
    assert f"images: {counted['images']}" in lines and "labels: " in lines


@pytest.mark.parametrize("name", ["vindr_mammo", "embed", "mias", "bcdr"])
def test_lesions_are_where_they_were_drawn(name, trees, indexed):
    config = PhantomConfig(**SMALL, layout=name)
    plans = {image.path: image.view for image in published_layouts()[name].plan(config)}
    images = indexed[name].images.set_index("image_id")
    files = SourceFiles.open(str(trees / name))
    shares = []
    for row in indexed[name].lesions.itertuples():
        view = plans[images.loc[row.image_id, "path"]]
        mask = load_mask(files, row.mask_path, config.height, config.width)
        drawn = [
            drawn > 0
            for lesion, drawn in zip(view.lesions, draw_scene(config, view).masks, strict=True)
            if lesion.lesion_type == row.lesion_type or name == "embed"
        ]
        # Boxes and circles contain a lesion, outlines are it.
        shares.append(max((mask & one).sum() / one.sum() for one in drawn))
        assert mask.sum() < 4 * max(one.sum() for one in drawn)
    assert len(shares) >= 6 and min(shares) > 0.95


def test_origins_and_targets(indexed):
    origin = {name: set(tables.images["label_origin"]) for name, tables in indexed.items()}
    assert origin == {
        "vindr_mammo": {"birads"},
        "rsna_2023": {"biopsy", "follow-up"},
        "cmmd": {"biopsy"},
        "embed": {"biopsy", "birads"},
        "csaw_cc": {"biopsy", "follow-up"},
        "mias": {""},
        "bcdr": {"biopsy"},
    }
    vindr = indexed["vindr_mammo"].images
    assert set(vindr.loc[vindr["malignant"] == 1, "birads"]) <= {4, 5}
    assert set(vindr["official_split"]) == {"train", "test"}
    rsna = indexed["rsna_2023"].images
    assert set(rsna["implant"]) == {True, False} and set(rsna["site"]) == {"1", "2"}
    assert set(rsna.loc[rsna["malignant"] == 0, "invasive"]) == {None}
    assert set(rsna["breast_density"]) > {0}
    assert any("implant" in text for text in rsna["warnings"])
    cmmd = indexed["cmmd"].images
    assert (cmmd["bits_stored"] == 8).all() and set(cmmd["subtype"]) > {""}
    assert {"mass", "calc"} <= set("+".join(cmmd["lesion_types"]).split("+"))
    embed = indexed["embed"].images
    assert "synthetic" in set(embed["image_type"])
    assert set(embed.loc[embed["malignant"] == 1, "invasive"]) <= {True, False}
    assert embed["race"].nunique() == 4 and embed["ethnicity"].nunique() == 2
    for name in ("embed", "rsna_2023", "bcdr"):  # ages of 40 to 74 at the last exam
        bands = set(indexed[name].images["age_band"])
        assert bands <= {"under 40", "40 to 49", "50 to 59", "60 to 69", "70 or more"}
        assert len(bands) > 1
    assert indexed["mias"].images["view"].eq("MLO").all()


def test_exams_and_follow_up(indexed):
    for name in ("embed", "csaw_cc"):
        images = indexed[name].images
        assert images.groupby("patient_key")["exam_key"].nunique().max() == 2
        cancers = images[images["malignant"] == 1]
        assert (cancers["years_to_cancer"] == 0).all()
        sick = images[images["patient_key"].isin(set(cancers["patient_key"]))]
        before = sick.loc[sick["years_to_cancer"] > 0]
        assert len(before) and (before["years_to_last_negative_exam"] == 0).all()
        healthy = images[~images["patient_key"].isin(set(cancers["patient_key"]))]
        assert healthy["years_to_cancer"].isna().all()
        assert healthy["years_to_last_negative_exam"].notna().mean() > 0.8
    assert set(indexed["csaw_cc"].images["exam_key"]) == {"1", "2"}  # no year is written
    days = indexed["embed"].images.groupby("patient_key")["exam_day"].max()
    assert (days == 400).any()
