"""Proposals for tables of several countries, without a cell that could be a patient."""

import json

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from mammo_core.cli.sources import app
from mammo_core.sources import SourceConfig, SourceFiles
from mammo_core.sources.adapters.table.check import check_table
from mammo_core.sources.suggest.published_tables import find_likeness
from mammo_core.sources.suggest.suggestion import suggest
from tests.sources.adapters.test_table import write_image

TABLES = {
    # Header; rows of two patients with two exams: side, view and label each.
    "German": (
        "Pat-Nr;Untersuchungsdatum;Seite;Aufnahme;Befund;Histologiedatum;ACR-Dichte;Bemerkung;Bild",
        [
            "Zz17;03.05.2021;links;kraniokaudal;bösartig;20.05.2021;ACR III;Frau Zz-Ann;a",
            "Zz17;13.05.2021;rechts;MLO;unauffällig;;ACR III;Frau Zz-Ann;b",
            "Zz18;03.06.2021;rechts;mediolateral schräg;o. B.;;a;;c",
            "Zz18;03.06.2021;links;MLO;Kontrolle;;a;;d",
        ],
    ),
    "French": (
        "Identifiant patient;Date de l'examen;Côté;Incidence;Résultat;Date biopsie;Densité;Notes;"
        "Image",
        [
            "Zz17;3/5/2021;gauche;cranio-caudale;malin;20/5/2021;C;Mme Zz-Ann;a",
            "Zz17;13/5/2021;droite;MLO;négatif;;C;Mme Zz-Ann;b",
            "Zz18;3/6/2021;Droite;oblique;bénin;;A;;c",
            "Zz18;3/6/2021;gauche;MLO;en attente;;A;;d",
        ],
    ),
    "Spanish": (
        "Paciente,Fecha de estudio,Lateralidad,Proyección,Diagnóstico,Fecha biopsia,Densidad,Nota,"
        "Archivo",
        [
            "Zz17,2021-05-03,izquierda,CC,maligno,2021-05-20,3,Sra. Zz-Ann,a",
            "Zz17,2021-05-13,derecha,oblicua,negativo,,3,Sra. Zz-Ann,b",
            "Zz18,2021-06-03,derecha,MLO,benigno,,1,,c",
            "Zz18,2021-06-03,izda,MLO,pendiente,,1,,d",
        ],
    ),
    "English": (
        "MRN,Study Date,ImageLaterality,ViewPosition,Cancer,Biopsy Date,Density,Comment,Filename",
        [
            "Zz17,05/03/2021,L,CC,Yes,05/20/2021,C,Zz-Ann,a",
            "Zz17,05/13/2021,R,MLO,No,,C,Zz-Ann,b",
            "Zz18,06/03/2021,R,MLO,no,,A,,c",
            "Zz18,06/03/2021,L,MLO,pending,,A,,d",
        ],
    ),
}


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16"])
@pytest.mark.parametrize("country", TABLES)
def test_a_proposal_reads_the_table(tmp_path, country, encoding):
    header, rows = TABLES[country]
    rows = [row.replace("izda", "izquierdo") for row in rows]
    text = "\n".join([header, *rows]) + "\n"
    (tmp_path / "own.csv").write_text(text, encoding=encoding)
    for name in "abcd":
        write_image(tmp_path / f"images/2021/IM-{name}.png", seed=ord(name))
    proposal = suggest(str(tmp_path / "own.csv"), SourceFiles.open(str(tmp_path / "images")))
    (tmp_path / "own.yaml").write_text(proposal.text("own.csv"), encoding="utf-8")
    assert "Zz" not in (tmp_path / "own.yaml").read_text(encoding="utf-8")
    config = SourceConfig(
        adapter="table",
        root=str(tmp_path / "images"),
        tables=str(tmp_path / "own.csv"),
        table={"mapping": "own.yaml"},
    )
    check = check_table(config, True)
    assert check.problems == ()
    counts = (check.facts["views"], check.facts["malignant"], check.facts["patients"])
    assert counts == (4, 1, 2)
    mapping = yaml.safe_load((tmp_path / "own.yaml").read_text(encoding="utf-8"))
    columns = header.replace(",", ";").split(";")
    assert mapping["ignore"] == [columns[7]]
    # A date names an exam.
    assert mapping["columns"][columns[1]] == ["exam_id", "exam_date"]
    assert mapping["values"]["label"][rows[3].replace(",", ";").split(";")[4]] == "unknown"


def test_words_without_a_meaning_are_counted_and_not_quoted(tmp_path):
    header, rows = TABLES["German"]
    rows = [*rows, "Zz19;01.02.2021;links;CC;Zz-Eva;;a;;e"]
    (tmp_path / "own.csv").write_text("\n".join([header, *rows]), encoding="utf-8")
    proposal = suggest(str(tmp_path / "own.csv"))
    text = proposal.text("own.csv")
    assert "1 different cells of 'Befund' (1 rows, first in lines 6)" in text
    assert "Zz" not in text
    assert "No column is the path" not in text and "image_path" in text


@pytest.mark.parametrize(
    ("box", "form"),
    [
        (["10 20 300 400", "100 200 150 260"], "xyxy"),
        (["10 20 300 400", "900 800 100 90"], "xywh"),
        (["0.1 0.2 0.3 0.4", "0.5 0.5 0.1 0.1"], "yolo"),
    ],
)
def test_boxes_are_recognized_by_their_numbers(tmp_path, box, form):
    rows = [f"a{at}.png;{at};L;CC;1;mass;{text}" for at, text in enumerate(box)]
    header = "image_path;patient_id;side;view;label;type;Ecken"
    (tmp_path / "own.csv").write_text("\n".join([header, *rows]))
    assert suggest(str(tmp_path / "own.csv")).mapping.get("boxes", "xywh") == form


def test_several_lesions_of_a_cell_are_words_each(tmp_path):
    rows = ["a.png;1;L;CC;1;Rundherd|Mikrokalk", "b.png;2;L;CC;1;['Mass', 'Asymmetry']"]
    (tmp_path / "own.csv").write_text(
        "\n".join(["image;patient;side;view;label;Herdbefund", *rows])
    )
    proposal = suggest(str(tmp_path / "own.csv"))
    assert proposal.mapping["values"]["lesion_type"] == {
        "Rundherd": "mass",
        "Mikrokalk": "calc",
        "Asymmetry": "other",
    }
    assert proposal.notes == ()


def test_side_and_view_in_one_column_and_a_label_from_birads(tmp_path):
    rows = ["a.png;1;LCC;2", "b.png;1;RCC;0", "c.png;2;L MLO;5"]
    (tmp_path / "own.csv").write_text("\n".join(["image;patient;view;BI-RADS", *rows]))
    proposal = suggest(str(tmp_path / "own.csv"))
    (tmp_path / "own.yaml").write_text(proposal.text("own.csv"))
    config = SourceConfig(
        adapter="table", root=".", tables=str(tmp_path / "own.csv"), table={"mapping": "own.yaml"}
    )
    check = check_table(config, False)
    assert check.problems == () and check.facts["malignant"] == 1
    assert any("BI-RADS category" in note for note in proposal.notes)


def test_a_column_of_labels_with_categories_is_no_column_of_ones_and_zeros(tmp_path):
    """1 is a negative mammogram there, and not a malignant one."""
    rows = [f"a{at}.png;{at};L;CC;{label}" for at, label in enumerate(["1", "2", "BI-RADS 5", ""])]
    (tmp_path / "own.csv").write_text("\n".join(["image;patient;side;view;Befund", *rows]))
    mapping = suggest(str(tmp_path / "own.csv")).mapping
    assert mapping["columns"]["Befund"] == ["birads", "label"]
    assert mapping["values"]["label"] == {
        "1": "benign",
        "2": "benign",
        "BI-RADS 5": "malignant",
        "": "unknown",
    }
    rows = [f"a{at}.png;{at};L;CC;{at % 2}" for at in range(4)]
    (tmp_path / "own.csv").write_text("\n".join(["image;patient;side;view;Befund", *rows]))
    mapping = suggest(str(tmp_path / "own.csv")).mapping
    assert mapping["columns"]["Befund"] == "label" and "values" not in mapping


def test_corners_in_four_columns(tmp_path):
    head = "image;patient;side;view;label;Herdbefund;links;oben;rechts;unten;Geburtsdatum"
    (tmp_path / "own.csv").write_text(f"{head}\na.png;1;L;CC;1;Herd;10,5;20;40;60;03.05.1961\n")
    proposal = suggest(str(tmp_path / "own.csv"))
    (tmp_path / "own.yaml").write_text(proposal.text("own.csv"), encoding="utf-8")
    config = SourceConfig(
        adapter="table", root=".", tables=str(tmp_path / "own.csv"), table={"mapping": "own.yaml"}
    )
    assert check_table(config, False).problems == ()
    assert proposal.mapping["ignore"] == ["Geburtsdatum"]
    assert proposal.mapping["columns"]["rechts"] == "box_xmax"


@pytest.mark.parametrize(
    ("cells", "names", "template"),
    [
        (["17,b", "18,c"], ["17/b.png", "18/c.png"], "{patient}/{number}.png"),
        (
            ["17,b", "18,c"],
            ["x/0017/IM_b.png", "x/0018/IM_c.png"],
            "x/{patient:0>4}/IM_{number}.png",
        ),
        (["P-17,b", "P-18,c"], ["P-17_b.dcm", "P-18_c.dcm"], "{patient}_{number}.dcm"),
        (["17,d\\b.png", "18,d\\c.png"], ["d/b.png", "d/c.png"], "{number}"),
    ],
)
def test_how_files_are_named_is_found_in_the_folder(tmp_path, cells, names, template):
    for name in [*names, "notes/readme.txt"]:
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(b"x")
    rows = [f"{cell},L,CC,1" for cell in cells]
    (tmp_path / "own.csv").write_text("\n".join(["patient,number,side,view,label", *rows]))
    proposal = suggest(str(tmp_path / "own.csv"), SourceFiles.open(str(tmp_path / "images")))
    assert proposal.mapping["paths"] == {"image_path": template}
    assert proposal.mapping.get("patient_ids_in_paths", False) == ("patient" in template)


def test_missing_files_are_counted(tmp_path):
    for at in range(7):
        write_image(tmp_path / f"images/{at}.png", seed=at)
    rows = [f"p{at},{at}.png,L,CC,{at % 2}" for at in range(10)]
    (tmp_path / "own.csv").write_text("\n".join(["patient,image,side,view,label", *rows]))
    proposal = suggest(str(tmp_path / "own.csv"), SourceFiles.open(str(tmp_path / "images")))
    assert proposal.mapping == {"missing_files": "leave_out"}
    assert any("3 of 10 rows (30%)" in note for note in proposal.notes)


PUBLISHED = {
    "RSNA 2023": "site_id,patient_id,image_id,laterality,view,age,cancer,biopsy,invasive,BIRADS,"
    "implant,density,machine_id,difficult_negative_case",
    "VinDr-Mammo": "study_id,series_id,image_id,laterality,view_position,height,width,"
    "breast_birads,breast_density,finding_categories,finding_birads,xmin,ymin,xmax,ymax,split",
    "CMMD": "ID1,LeftRight,Age,number,abnormality,classification,subtype",
    "CSAW-CC": "anon_patientid,exam_year,x_case,x_cancer_laterality,x_type,x_lymphnode_met,"
    "rad_timing,rad_r1,rad_r2,rad_recall,imagelaterality,viewposition,libra_percentdensity,"
    "anon_filename",
}


@pytest.mark.parametrize("data_set", PUBLISHED)
def test_published_tables_are_recognized(data_set):
    like = find_likeness(PUBLISHED[data_set].split(","))
    assert like[0].table.data_set == data_set
    assert find_likeness(["image_path", "patient_id", "laterality", "view", "label", "split"]) == []


def test_the_command(tmp_path):
    header, rows = TABLES["German"]
    pd.DataFrame([row.split(";") for row in rows], columns=header.split(";")).to_parquet(
        tmp_path / "own.parquet"
    )
    command = ["suggest", str(tmp_path / "own.parquet")]
    printed = CliRunner().invoke(app, command)
    assert printed.exit_code == 0 and "Pat-Nr: patient_id" in printed.stdout
    out = tmp_path / "own.yaml"
    written = CliRunner().invoke(app, [*command, "--out", str(out)])
    assert "next: mammo sources check --source table" in written.stdout
    assert out.read_text(encoding="utf-8") == printed.stdout
    assert CliRunner().invoke(app, [*command, "--out", str(out)]).exit_code != 0
    document = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert document["mapping"]["columns"]["Seite"] == "laterality" and document["like"] == []
