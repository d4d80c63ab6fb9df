"""Tables as columns: CSV, Parquet and Excel give the same cells, and none fills the memory."""

import subprocess
import sys
import zipfile
from datetime import date, datetime

import pandas as pd
import pytest

from mammo_core.errors import SourceError
from mammo_core.sources.tables.text_table import read_text_table
from mammo_core.sources.tables.workbook import cell_text

ROWS = [["4711", "L", "2021-05-03"], ["4712", "", "2021-05-04"], ["4711", "R", ""]]
HEADER = ["patient", "side", "when"]


def write_workbook(path, rows):
    """A workbook by hand: inline text, as no library for writing is installed."""
    cells = "".join(
        f'<row r="{at}">'
        + "".join(
            f'<c r="{chr(65 + column)}{at}" t="inlineStr"><is><t>{text}</t></is></c>'
            for column, text in enumerate(row)
        )
        + "</row>"
        for at, row in enumerate(rows, 1)
    )
    write_sheet(path, cells)


def write_sheet(path, cells):
    namespace = "http://schemas.openxmlformats.org"
    office = f"{namespace}/officeDocument/2006/relationships"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{namespace}/package/2006/content-types">'
        '<Default Extension="xml" ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{namespace}/package/2006/relationships">'
        f'<Relationship Id="r1" Type="{office}/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>",
        "xl/workbook.xml": f'<workbook xmlns="{namespace}/spreadsheetml/2006/main" '
        f'xmlns:r="{office}"><sheets><sheet name="Befunde" sheetId="1" r:id="r1"/></sheets>'
        "</workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{namespace}/package/2006/'
        f'relationships"><Relationship Id="r1" Type="{office}/worksheet" '
        'Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{namespace}/spreadsheetml/2006/main">'
        f"<sheetData>{cells}</sheetData></worksheet>",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)


def read(path, **stated):
    table = read_text_table(str(path), lambda header: range(len(header)), **stated)
    columns = [[column.words[code] for code in column.codes] for column in table.cells.values()]
    return table, [list(row) for row in zip(*columns, strict=True)]


def test_three_formats_have_the_same_cells(tmp_path):
    frame = pd.DataFrame(ROWS, columns=HEADER)
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.assign(
        patient=frame["patient"].astype(int),
        when=[date(2021, 5, 3), date(2021, 5, 4), None],
        side=["L", None, "R"],
    ).to_parquet(tmp_path / "a.parquet")
    write_workbook(tmp_path / "a.xlsx", [HEADER, *ROWS, ["", "", ""]])
    for name in ("a.csv", "a.parquet", "a.xlsx"):
        table, rows = read(tmp_path / name)
        assert table.columns == tuple(HEADER), name
        assert rows == ROWS, name
        assert list(table.lines) == [2, 3, 4], name
        assert table.faults == ()


def test_cells_of_other_types_are_texts_as_in_a_csv():
    values = [1.0, 1.5, True, None, float("nan"), datetime(2021, 5, 3), "x", date(2021, 5, 4)]
    texts = ["1", "1.5", "1", "", "", "2021-05-03", "x", "2021-05-04"]
    assert [cell_text(value) for value in values] == texts


def test_only_chosen_columns_are_kept(tmp_path):
    (tmp_path / "a.csv").write_text("a,b,c\n1,secret,3\n4,secret\n\n 7 ,secret,9\n")
    table = read_text_table(str(tmp_path / "a.csv"), lambda header: [header.index("a")])
    assert table.cells[0].words == ("1", "7") and list(table.lines) == [2, 5]
    assert "secret" not in str(table)
    (fault,) = table.faults
    assert (fault.line, fault.count, dict(fault.cells)) == (3, 2, {0: "4"})
    assert table.rows == 3


@pytest.mark.parametrize("name", ["wide.csv", "wide.parquet", "wide.xlsx"])
def test_too_many_columns_are_refused_by_the_header(tmp_path, name):
    """200,000 columns: no row below the header is read, and time does not grow with its square."""
    columns = [f"c{at}" for at in range(200_000 if name.endswith("csv") else 1_001)]
    path = tmp_path / name
    if name == "wide.csv":
        path.write_bytes(",".join(columns).encode() + b"\n" * 20_000 + b"\xff\n")
    elif name == "wide.parquet":
        pd.DataFrame([[1] * len(columns)], columns=columns).to_parquet(path)
    else:
        cells = "".join(f"<c t='inlineStr'><is><t>{name}</t></is></c>" for name in columns)
        write_sheet(path, f"<row>{cells}</row>")
    with pytest.raises(SourceError, match="no header that can be used"):
        read(path)


@pytest.mark.parametrize("cell", ["XFD1048576", "A9999999999", "ZZZZ1"])
def test_a_cell_far_away_is_refused_before_the_gap_is_filled(tmp_path, cell):
    """The reader fills the rectangle between two cells: 17 billion cells, of a file of 1 kB."""
    cells = '<row r="1"><c r="A1"><v>1</v></c></row>' + f"<row><c r='{cell}'><v>1</v></c></row>"
    write_sheet(tmp_path / "far.xlsx", cells)
    with pytest.raises(SourceError, match="cannot be read"):
        read(tmp_path / "far.xlsx")


def test_files_that_are_not_what_their_name_says(tmp_path):
    for name in ("a.xlsx", "a.xls", "a.parquet"):
        for content in (b"", b"patient,side\n1,L\n", b"PK\x03\x04" + bytes(50), b"PAR1" * 4):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(SourceError, match=f"{name} cannot be read"):
                read(tmp_path / name)


def test_text_in_another_encoding(tmp_path):
    (tmp_path / "a.csv").write_bytes("Größe;Seite\n1;ä\n".encode("cp1252"))
    with pytest.raises(SourceError, match="line 1"):
        read(tmp_path / "a.csv")
    table, rows = read(tmp_path / "a.csv", encoding="cp1252")
    assert table.columns == ("Größe", "Seite") and rows == [["1", "ä"]]


def test_a_sheet_by_its_name(tmp_path):
    write_workbook(tmp_path / "a.xlsx", [["a"], ["1"]])
    assert read(tmp_path / "a.xlsx", sheet="Befunde")[1] == [["1"]]
    with pytest.raises(SourceError, match="one of its sheets"):
        read(tmp_path / "a.xlsx", sheet="Other")


def test_time_and_memory_of_many_rows():
    """A tenth of the benchmark's rows; CPU seconds and memory in their proportion, doubled."""
    command = [sys.executable, "benchmarks/table.py", "--rows", "50000", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    import json

    facts = json.loads(result.stdout)
    assert facts["views"] == 50_000 and facts["problems"] == 0
    assert facts["cpu_s"] < 2 * 60 / 20 + 3
    assert facts["peak_mb"] < 300


def test_a_table_beyond_256_mib_is_read_line_by_line(tmp_path):
    # EMBED's metadata has hundreds of columns, of which a dozen are read.
    path, rows = tmp_path / "metadata.csv", 2_200
    filling = "x" * 124_000
    with path.open("w") as file:
        print("patient,header,side", file=file)
        for number in range(rows):
            print(number // 2, filling, "LR"[number % 2], sep=",", file=file)
    assert path.stat().st_size > 2**28
    table = read_text_table(str(path), lambda header: [0, 2])
    assert table.rows == rows
    assert [table.cells[2].words[code] for code in table.cells[2].codes[:3]] == ["L", "R", "L"]
    assert len(table.cells[0].words) == rows // 2


@pytest.mark.parametrize(
    ("name", "limit"), [("a.csv", 2**32), ("a.parquet", 2**32), ("a.xlsx", 2**28)]
)
def test_a_larger_table_is_refused_before_it_is_read(tmp_path, name, limit):
    path = tmp_path / name
    with path.open("wb") as file:
        file.truncate(limit + 1)
    with pytest.raises(SourceError) as error:
        read_text_table(str(path), lambda header: [0])
    assert (error.value.expected, error.value.received) == (
        f"at most {limit} bytes",
        f"{limit + 1} bytes",
    )
