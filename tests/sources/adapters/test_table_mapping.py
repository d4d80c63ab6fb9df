"""A table with names and words of its own: columns, cells, paths, boxes, dates and lesions."""

import pytest
import yaml

from mammo_core.errors import SourceError
from mammo_core.sources import SourceConfig, index
from mammo_core.sources.adapters.table.check import check_table
from mammo_core.sources.source_index import listing_digest
from mammo_core.sources.tables.table_digests import referenced_tables
from tests.sources.adapters.test_table import KEY, write_image

GERMAN = {
    "columns": {
        "Patientennummer": "patient_id",
        "Untersuchung": ["exam_id", "exam_date"],
        "Seite": "laterality",
        "Projektion": "view",
        "Befund": "label",
    },
    "values": {
        "laterality": {"links": "L", "rechts": "R"},
        "label": {"bösartig": "malignant", "unauffällig": "benign", "Kontrolle": "unknown"},
    },
    "ignore": ["Bemerkung"],
    "paths": {"image_path": "{Patientennummer:0>4}/{Bild}.png"},
    "dates": "DD.MM.YYYY",
    "patient_ids_in_paths": True,
}
HEADER = "Patientennummer;Untersuchung;Seite;Projektion;Befund;Bild;Bemerkung"
ROWS = [
    "17;03.05.2021;Links;CC;Bösartig;a;Frau Zz-Ann",
    "17;03.05.2021;RECHTS;MLO;unauffällig;b;",
    "17;09.06.2023;links;CC;Kontrolle;c;",
    "18;3.5.2021 08:15;rechts;CC;unauffällig;d;",
]


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A table of four images, and their files."""
    monkeypatch.setenv("MAMMO_SITE_KEY", KEY)
    for seed, name in enumerate(("0017/a", "0017/b", "0017/c", "0018/d")):
        write_image(tmp_path / f"images/{name}.png", seed=seed)
    (tmp_path / "own.csv").write_text("\n".join([HEADER, *ROWS]) + "\n", encoding="cp1252")
    return tmp_path


def config_of(folder, **options):
    return SourceConfig(
        adapter="table", root=str(folder / "images"), tables=str(folder / "own.csv"), table=options
    )


def problems_of(folder, **options):
    problems = check_table(config_of(folder, **options), False).problems
    return [(problem.line, problem.column) for problem in problems]


def write(folder, header, *rows):
    (folder / "own.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def test_german_headers_and_words(archive):
    config = config_of(archive, **GERMAN, encoding="cp1252")
    assert check_table(config, True).problems == ()
    tables = index(config)
    images = tables.images.set_index("path")
    # Kontrolle is an unknown label: left out by the recipe's policy, not negative.
    assert sorted(images.index) == ["0017/a.png", "0017/b.png", "0018/d.png"]
    assert images.loc["0017/a.png", "malignant"] == 1
    assert images.loc["0017/b.png", ["laterality", "view", "malignant"]].tolist() == [
        "RIGHT",
        "MLO",
        0,
    ]
    assert list(tables.rejects["cause"]) == ["unknown_label"]
    assert images["exam_key"].nunique() == 2
    text = "".join(table.to_csv() for table in (tables.images, tables.rejects)) + str(tables.facts)
    assert "Zz-Ann" not in text and "03.05.2021" not in text and "2021-05-03" not in text


def test_the_same_mapping_in_a_file_beside_the_table(archive):
    (archive / "own.yaml").write_text(
        yaml.safe_dump({**GERMAN, "encoding": "utf-8"}, allow_unicode=True), encoding="utf-8"
    )
    config = config_of(
        archive, mapping="own.yaml", encoding="cp1252"
    )  # the recipe takes precedence
    assert len(index(config).images) == 3
    # A stored recipe states every key, also those that nobody set.
    stored = SourceConfig.model_validate_json(config.model_dump_json())
    assert len(index(stored).images) == 3
    before = listing_digest(config, config.files()), referenced_tables(config)
    text = (archive / "own.yaml").read_text(encoding="utf-8").replace("unknown", "benign!")
    (archive / "own.yaml").write_text(text.replace("benign!", "benign "), encoding="utf-8")
    after = listing_digest(config, config.files()), referenced_tables(config)
    assert before[0] != after[0] and before[1] != after[1]
    assert len(index(config).images) == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("columns: {Seite: side of the breast}", "unknown column"),
        ("columns: {Nirgends: view}", "no column that source.table.columns names"),
        ("colums: {Seite: laterality}", "colums"),
        ("values: {label: {no: benign}}", "quote words"),
        ("paths: {image_path: 'Bild.png'}", "in braces"),
        ("dates: DD.MM.YY", "YYYY, MM and DD once"),
        ("[1, 2", "YAML"),
    ],
)
def test_a_mapping_that_cannot_be_used(archive, content, message):
    (archive / "own.yaml").write_text(content)
    with pytest.raises(SourceError, match=message):
        check_table(config_of(archive, mapping="own.yaml", encoding="cp1252"), False)


def test_a_mapping_file_that_is_missing(archive):
    with pytest.raises(SourceError, match=r"gone\.yaml"):
        check_table(config_of(archive, mapping="gone.yaml"), False)


def test_messages_name_both_columns(archive):
    write(
        archive, HEADER, *ROWS, "19;03.05.2021;oben;CC;bösartig;e;", "20;33.05.2021;links;CC;??;f;"
    )
    mapped = check_table(config_of(archive, **GERMAN), False).problems
    assert [(problem.line, problem.column) for problem in mapped] == [
        (6, "Seite (laterality)"),
        (7, "Befund (label)"),
        (7, "Untersuchung (exam_date)"),
    ]


def test_unknown_columns_are_problems_unless_ignored(archive):
    header = "image_path,patient_id,side,view,label,Weight,Height"
    write(archive, header, "a.png,1,L,CC,1,60,170")
    assert problems_of(archive) == [(1, "Height"), (1, "Weight")]
    assert problems_of(archive, ignore=["Weight"]) == [(1, "Height")]
    assert problems_of(archive, ignore=["*"]) == []
    assert problems_of(archive, ignore=["W*"]) == [(1, "Height")]
    # A pattern never hides a column that is known.
    assert len(check_table(config_of(archive, ignore=["*"]), False).problems) == 0


def test_constants_stand_for_missing_columns(archive):
    write(archive, "image_path,patient_id,side,label", "a.png,1,L,1")
    with pytest.raises(SourceError, match="no column view"):
        problems_of(archive)
    assert problems_of(archive, constants={"view": "MLO"}) == []
    assert problems_of(archive, constants={"view": "no view"}) == [(2, "view")]


BOXES = {
    "xywh": "10 20 30 40",
    "xyxy": "10, 20, 40, 60",
    "yxyx": "(20, 10, 60, 40)",
    # (10 + 40) / 2 of 96 columns, (20 + 60) / 2 of 128 rows
    "yolo": f"[{25 / 96} {40 / 128} {30 / 96} {40 / 128}]",
}


@pytest.mark.parametrize("convention", BOXES)
def test_a_box_in_four_conventions(archive, convention):
    write_image(archive / "images/a.png")
    write(
        archive,
        "image_path;patient_id;side;view;label;type;box",
        f"a.png;1;L;CC;1;mass;{BOXES[convention]}",
    )
    config = config_of(archive, boxes=convention)
    assert check_table(config, True).problems == ()
    (path,) = index(config).lesions["mask_path"]
    from mammo_core.sources.lesions.masks import load_mask

    mask = load_mask(config.files(), path, 128, 96)
    assert mask.sum() == 30 * 40 and mask[20:60, 10:40].all()


@pytest.mark.parametrize(
    ("columns", "cells"),
    [
        ("box_xmin;box_ymin;box_xmax;box_ymax", "10,2;20.0;39,9;59.5"),  # a decimal comma
        ("box_xmin;box_ymin;box_width;box_height", "10;20;30;40"),
        (
            "box_xcenter;box_ycenter;box_width;box_height",
            f"{25 / 96};{40 / 128};{30 / 96};{40 / 128}",
        ),
    ],
)
def test_a_box_in_columns_of_numbers(archive, columns, cells):
    write_image(archive / "images/a.png")
    write(
        archive,
        f"image_path;patient_id;side;view;label;type;{columns}",
        f"a.png;1;L;CC;1;mass;{cells}",
    )
    from mammo_core.sources.lesions.masks import load_mask

    config = config_of(archive)
    (path,) = index(config).lesions["mask_path"]
    mask = load_mask(config.files(), path, 128, 96)
    assert mask.sum() == 30 * 40 and mask[20:60, 10:40].all()


def test_columns_that_make_no_box(archive):
    head = "image_path;patient_id;side;view;label;type"
    write(archive, f"{head};box_xmin;box_ymax", "a.png;1;L;CC;1;mass;1;2")
    with pytest.raises(SourceError, match="do not belong together"):
        problems_of(archive)
    columns = "box_xmin;box_ymin;box_xmax;box_ymax"
    write(archive, f"{head};{columns}", "a.png;1;L;CC;1;mass;1;2;;4", "b.png;1;L;CC;1;mass;9;2;3;4")
    assert problems_of(archive) == [(2, "box_xmax"), (3, "lesion_box")]


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("type;box", ["mass;10 20 30 40", "calc;50 20 30 40", "mass;5 60 30 40"]),  # a row each
        ("type;box", ["mass|calc|mass;[(10,20,30,40) (50,20,30,40) (5,60,30,40)]"]),  # in cells
        ("type;box", ["['Mass', 'Calcification', 'Mass'];10 20 30 40, 50 20 30 40, 5 60 30 40"]),
        (
            "lesion_type;lesion_box;lesion_type_2;lesion_box_2;lesion_type_3;lesion_box_3",
            ["mass;10 20 30 40;calc;50 20 30 40;mass;5 60 30 40"],  # in further columns
        ),
    ],
)
def test_several_lesions(archive, header, rows):
    write_image(archive / "images/a.png")
    write(
        archive,
        f"image_path;patient_id;side;view;label;{header}",
        *(f"a.png;1;L;CC;1;{row}" for row in rows),
    )
    config = config_of(archive)
    assert check_table(config, True).problems == ()
    lesions = index(config).lesions
    assert sorted(zip(lesions["lesion_type"], lesions["mask_path"], strict=True)) == [
        ("calc", "box:50,20,30,40"),
        ("mass", "box:10,20,30,40"),
        ("mass", "box:5,60,30,40"),
    ]


def test_types_and_regions_that_do_not_pair(archive):
    write(
        archive,
        "image_path;patient_id;side;view;label;type;pathology;box",
        "a.png;1;L;CC;1;mass|calc;;1 2 3 4, 5 6 7 8, 9 9 9 9",
        "b.png;1;L;CC;1;mass;benign|malignant;1 2 3 4",
    )
    assert problems_of(archive) == [(2, "lesion_type"), (3, "pathology")]


def test_findings_that_are_no_class_of_lesion_are_left_out(archive):
    write_image(archive / "images/a.png")
    write(
        archive,
        "image_path;patient_id;side;view;label;type;box",
        "a.png;1;L;CC;1;mass|Asymmetry;1 2 30 40, 5 6 70 80",
    )
    assert problems_of(archive) == [(2, "lesion_type")]
    config = config_of(archive, values={"lesion_type": {"asymmetry": "other"}})
    assert list(index(config).lesions["mask_path"]) == ["box:1,2,30,40"]


def test_other_targets_are_columns_of_the_table_of_images(archive):
    write_image(archive / "images/a.png")
    write(
        archive,
        "image_path;patient_id;side;view;label;birads;invasive;implant;site;label_origin;"
        "years_to_cancer",
        "a.png;1;L;CC;1;BI-RADS 4b;ja;nein;Haus 2;biopsy;1,5",
        "b.png;1;L;MLO;1;7;ja;nein;Haus 2;guess;soon",
    )
    words = {"ja": "yes", "nein": "no"}
    options = {"values": {"invasive": words, "implant": words}}
    assert problems_of(archive, **options) == [
        (3, "birads"), (3, "label_origin"), (3, "years_to_cancer"),
    ]  # fmt: skip
    (row,) = index(config_of(archive, **options)).images.to_dict("records")
    assert (row["birads"], row["invasive"], row["implant"]) == (4, True, False)
    assert (row["site"], row["label_origin"], row["years_to_cancer"]) == ("Haus 2", "biopsy", 1.5)


def test_missing_files_are_left_out_on_request(archive):
    (archive / "images/0017/b.png").unlink()
    config = config_of(archive, **GERMAN, encoding="cp1252")
    (problem,) = check_table(config, True).problems
    assert problem.line == 3 and "missing" in problem.problem
    config = config_of(archive, **GERMAN, encoding="cp1252", missing_files="leave_out")
    check = check_table(config, True)
    assert check.problems == () and check.facts["missing_files"] == 1
    rejects = index(config).rejects
    assert sorted(rejects["cause"]) == ["missing_file", "unknown_label"]


def test_a_row_of_another_length_leaves_its_image_out(archive):
    write_image(archive / "images/a.png")
    write_image(archive / "images/b.png", seed=2)
    write(
        archive,
        "image_path;patient_id;side;view;label;type;box",
        "a.png;1;L;CC;1;mass;1 2 30 40",
        "a.png;1;L;CC;1;mass",
        "b.png;1;L;MLO;1;;",
    )
    tables = index(config_of(archive))
    assert list(tables.images["path"]) == ["b.png"]
    reasons = dict(zip(tables.rejects["item"], tables.rejects["reason"], strict=True))
    assert "Line 3, of the same image, is wrong." in reasons["own.csv line 2"]
