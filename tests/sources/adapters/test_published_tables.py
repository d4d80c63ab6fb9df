"""Rows of published tables that are unlike others: what they mean, and what is refused."""

import pytest

from mammo_core.errors import SourceError
from mammo_core.sources import SourceConfig
from mammo_core.sources.check import check_source
from mammo_core.sources.published.birads import (
    BiRadsLabels,
    most_concerning,
    read_category,
    read_density,
)

VINDR = (
    "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,"
    "breast_density,split"
)
FINDINGS = (
    "image_id,study_id,series_id,laterality,view_position,height,width,breast_birads,"
    "breast_density,finding_categories,finding_birads,xmin,ymin,xmax,ymax,split"
)
RSNA = (
    "site_id,patient_id,image_id,laterality,view,age,cancer,biopsy,invasive,BIRADS,implant,"
    "density,machine_id,difficult_negative_case"
)
CMMD = "ID1,LeftRight,Age,number,abnormality,classification,subtype"
METADATA = (
    "empi_anon,acc_anon,anon_dicom_path,FinalImageType,ImageLateralityFinal,ViewPosition,"
    "spot_mag,num_roi,ROI_coords"
)
CLINICAL = (
    "empi_anon,acc_anon,study_date_anon,asses,side,tissueden,bside,path_severity,massshape,"
    "calcfind,procdate_anon,ETHNICITY_DESC"
)
CSAW = (
    "anon_patientid,exam_year,x_case,x_cancer_laterality,x_type,rad_timing,imagelaterality,"
    "viewposition,anon_filename"
)


BOTH = "\"['Suspicious Calcification', 'Mass']\""


def check(adapter, folder, **tables):
    for name, rows in tables.items():
        (folder / FILES[name]).write_text("\n".join(rows) + "\n")
    return check_source(SourceConfig(adapter=adapter, root=".", tables=str(folder)), False)


FILES = {
    "images": "breast-level_annotations.csv",
    "findings": "finding_annotations.csv",
    "train": "train.csv",
    "cmmd": "CMMD_clinicaldata_revision.csv",
    "metadata": "EMBED_OpenData_metadata.csv",
    "clinical": "EMBED_OpenData_clinical.csv",
    "csaw": "CSAW-CC_breast_cancer_screening_data.csv",
    "mias": "Info.txt",
    "bcdr": "bcdr_d01_img.csv",
    "outlines": "bcdr_d01_outlines.csv",
    "normal": "bcdr_dn01_img.csv",
}


def test_categories_and_densities_of_all_spellings():
    spellings = ("BI-RADS 4", "4", "4.0", "4B", "birads_5", "0", "7", "", "4D", "x")
    assert [read_category(t) for t in spellings] == [4, 4, 4, 4, 5, 0, None, None, None, None]
    densities = ("DENSITY C", "b", "4", "3.0", "", "nan", "E", "5")
    assert [read_density(text) for text in densities] == [3, 2, 4, 3, 0, 0, None, None]
    assert [BiRadsLabels().label(n) for n in (0, 1, 2, 3, 4, 5, 6, None)] == [
        -1, 0, 0, -1, 1, 1, -1, -1,
    ]  # fmt: skip
    assert most_concerning([1, 0, 3]) == 0 and most_concerning([2, 3]) == 3
    with pytest.raises(ValueError, match="only one of these"):
        BiRadsLabels(negative=("3",), positive=("3",))


def test_vindr_mammo(tmp_path):
    image = "s1,x,i{0},{1},CC,3518,2800,BI-RADS {2},DENSITY C,training"
    finding = "i{0},s1,x,L,CC,3518,2800,BI-RADS 4,DENSITY C,{1},{2},{3},training"
    facts = check(
        "vindr_mammo",
        tmp_path,
        images=[VINDR, *(image.format(n, "L", n) for n in range(1, 6)), image.format(6, "Q", 1),
                image.format(1, "L", 1)],
        findings=[
            FINDINGS,
            finding.format(1, "['No Finding']", "", ",,,"),
            finding.format(4, "['Mass']", "BI-RADS 4", "10.5,20.2,50.1,60.9"),
            finding.format(4, BOTH, "BI-RADS 5", "-4,20,2900,60"),
            finding.format(4, "['Skin Thickening']", "BI-RADS 4", "10,20,50,60"),
            finding.format(4, "['Mass']", "BI-RADS 3", "10,20,50,60"),
            finding.format(4, "['Mass']", "BI-RADS 4", "50,20,10,60"),
            finding.format(9, "['Mass']", "BI-RADS 4", "10,20,50,60"),
        ],
    )  # fmt: skip
    assert facts["counted"]["labels"] == {
        "malignant (birads)": 2, "none": 1, "not malignant (birads)": 2,
    }  # fmt: skip
    assert facts["counted"]["lesions"] == {"calc": 1, "mass": 2}
    published = facts["published"]
    assert (published["other_regions"], published["findings_without_a_label"]) == (
        {"skin thickening": 1},
        1,
    )
    assert published["clipped_boxes"] == 1 and published["finding_rows"] == 7
    rejects = sorted((row["kind"], row["item"].rsplit(" ", 1)[1]) for row in facts["rejects"])
    assert rejects == [
        ("lesion", "7"), ("lesion", "8"), ("row", "7"), ("row", "8"),
    ]  # fmt: skip
    # Nothing of a cell that may be a name is repeated at length, and every reason has three parts.
    assert all(
        "Expected" in row["reason"] and "Received" in row["reason"] for row in facts["rejects"]
    )


def test_rsna_2023(tmp_path):
    row = "2,10006,{0},L,{1},61.0,{2},{3},0,{4},{5},{6},29,False"
    facts = check(
        "rsna_2023",
        tmp_path,
        train=[
            RSNA,
            row.format(1, "CC", 0, 0, "", 0, ""),
            row.format(2, "MLO", 0, 1, "0.0", 1, "B"),
            row.format(3, "AT", 1, 1, "0.0", 0, "B"),
            row.format(4, "LMO", 0, 0, "2.0", 0, "D"),
            row.format(5, "XX", 0, 0, "2.0", 0, "D"),
            row.format(6, "CC", 2, 0, "2.0", 0, "D"),
        ],
    )
    assert facts["counted"]["views"] == {"CC": 1, "LMO": 1, "MLO": 1, "axillary tail": 1}
    assert facts["counted"]["labels"] == {
        "malignant (biopsy)": 1, "not malignant (biopsy)": 1, "not malignant (follow-up)": 2,
    }  # fmt: skip
    assert facts["counted"]["implants"] == 1 and len(facts["rejects"]) == 2
    assert facts["counted"]["breast_density"] == {"B": 2, "D": 1, "unknown": 1}


def test_cmmd_as_csv_of_a_german_spreadsheet(tmp_path):
    rows = [
        CMMD, "D1-0001,R,44,2,calcification,Benign,", "D2-0001,L,44,2,both,Malignant,Luminal A",
        "D2-0001,R,44,2,mass,Benign,", "D2-0001,R,44,2,mass,Malignant,", "7,R,44,2,mass,Benign,",
    ]  # fmt: skip
    facts = check("cmmd", tmp_path, cmmd=[row.replace(",", ";") for row in rows])
    assert facts["published"]["patients"] == 2 and facts["published"]["breasts"] == 3
    assert facts["published"]["malignant_breasts"] == 1 and len(facts["rejects"]) == 2
    named = SourceConfig(adapter="cmmd", root=".", tables=str(tmp_path / FILES["cmmd"]))
    assert check_source(named, False)["published"] == facts["published"]
    # A file that is named is the table, also beside one with the published name.
    (tmp_path / "mine.csv").write_text(f"{CMMD}\nD1-0009,L,44,2,mass,Benign,\n")
    mine = SourceConfig(adapter="cmmd", root=".", tables=str(tmp_path / "mine.csv"))
    assert check_source(mine, False)["published"]["breasts"] == 1


def test_embed_joins_by_exam_and_side(tmp_path):
    image = '1,{0},/a/b/{1}.dcm,{2},{3},CC,{4},{5},"{6}"'
    clinical = [
        CLINICAL,
        "1,10,2015-01-01,N,,2.0,,,,,,Asian",  # a negative exam: both breasts
        "1,20,2016-01-01,A,L,2.0,,,X,,,Asian",
        "1,20,2016-01-01,N,R,2.0,,,,,,Asian",
        "1,30,2017-01-01,S,L,2.0,L,0.0,X,,2017-01-20,Asian",  # invasive
        "1,30,2017-01-01,S,L,2.0,L,4.0,G,,2017-02-20,Asian",
        "1,30,2017-01-01,S,R,5,R,6.0,,I,,Asian",  # a cancer of another organ
    ]
    metadata = [
        METADATA,
        image.format(10, "a", "2D", "L", "", 0, "()"),
        image.format(10, "b", "cview", "R", "0.0", 0, "()"),
        image.format(20, "c", "2D", "L", "", 0, "()"),
        image.format(20, "d", "2D", "R", "1.0", 0, "()"),
        image.format(30, "e", "2D", "L", "", 2, "((1, 2, 30, 40), (5, 6, 70, 80))"),
        image.format(30, "f", "2D", "R", "", 1, "((1, 2, 30, 40),)"),
        image.format(40, "g", "2D", "R", "", 0, "()"),  # no clinical row
        "2,10,/a/h.dcm,2D,L,CC,,0,()",  # another patient
    ]
    facts = check("embed", tmp_path, clinical=clinical, metadata=metadata)
    assert facts["counted"]["labels"] == {
        "malignant (biopsy)": 1, "none": 3, "not malignant (birads)": 3,
    }  # fmt: skip
    assert facts["counted"]["lesions"] == {"mass": 2}
    assert facts["published"]["regions"] == 3
    assert facts["published"]["regions_without_a_type"] == 1
    assert (facts["published"]["spot_images"], len(facts["rejects"])) == (1, 1)
    assert facts["published"]["races"] == {"": 1, "Asian": 6}


def test_csaw_cc_labels_the_breast_that_got_the_cancer(tmp_path):
    row = "{0},{1},{2},{3},1,{4},{5},CC,{0}_{1}_{5}.dcm"
    rows = [
        CSAW,
        *(row.format(1, 2010, 1, "Left", 3, side) for side in ("Left", "Right")),
        *(row.format(1, 2012, 1, "Left", 1, side) for side in ("Left", "Right")),
        row.format(2, 2012, 1, "Right", 2, "Right"),
        row.format(3, 2012, 0, "", "", "Left"),
        row.format(4, 2012, 1, "", 1, "Left"),  # nobody says which breast
    ]
    facts = check("csaw_cc", tmp_path, csaw=rows)
    assert facts["counted"]["labels"] == {
        "malignant (biopsy)": 1, "none": 3, "not malignant (follow-up)": 3,
    }  # fmt: skip
    assert facts["published"]["women_with_cancer"] == 3
    assert facts["counted"]["exams"] == 5


def test_mias_reads_the_list_below_its_own_description(tmp_path):
    rows = [
        "1st column: MIAS database reference number.", "",
        "mdb001 G CIRC B 535 425 197", "mdb002 G CIRC B 522 280 69", "mdb003 D NORM",
        "mdb005 F CIRC B 477 133 30", "mdb005 F CIRC B 500 168 26",
        "mdb059 F CIRC B *NOTE 3*", "mdb216 D CALC M *NOTE 3*", "mdb217 D WHAT M 1 2 3",
    ]  # fmt: skip
    facts = check("mias", tmp_path, mias=rows)
    assert facts["counted"]["images"] == 6 and facts["published"]["classes"]["CIRC"] == 5
    assert facts["counted"]["labels"] == {"malignant": 1, "not malignant": 5}
    assert facts["published"]["abnormalities_without_a_place"] == 2
    assert [row["item"] for row in facts["rejects"]] == ["Info.txt line 10"]
    assert facts["patients"] == 5  # films 001 and 002 are of one woman


def test_bcdr_has_blanks_and_two_ways_of_counting_views(tmp_path):
    images = "patient_id,study_id,series,image_filename,image_type_name,image_type_id,age,density"
    outlines = (
        "patient_id,study_id,series,lesion_id,segmentation_id,image_view,image_filename,"
        "lw_x_points,lw_y_points,mammography_nodule,mammography_calcification,"
        "mammography_microcalcification,classification"
    )
    facts = check(
        "bcdr",
        tmp_path,
        bcdr=[
            images,
            "3,4,1, p/a.tif, RCC,0,60, 3", "3,4,1, p/b.tif, RO,2,60, 3",
            "3,4,1, p/c.tif, LCC,1,60,NaN", "3,4,1, p/d.tif, XX,9,60,1",
        ],
        outlines=[
            outlines,
            "3,4,1,1,1,1, p/a.tif, 1 20 20, 1 1 30,1,0,1, Malign",
            "3,4,1,1,1,1, p/a.tif, 1 20, 1 1 30,1,0,0, Malign",
        ],
        normal=[images, "9,9,1, q/a.tif, LO,3,60, 1"],
    )  # fmt: skip
    # The oblique view of the breast has its result; the other breast has none; the normal set is
    # negative.
    assert facts["counted"]["labels"] == {
        "malignant (biopsy)": 2, "none": 1, "not malignant": 1,
    }  # fmt: skip
    assert facts["counted"]["lesions"] == {"calc": 1, "mass": 1}
    assert facts["published"]["sets"] == {"d01": 3, "dn01": 1} and len(facts["rejects"]) == 2


def test_a_table_that_is_another_one_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"no column patient_id, image_id"):
        check("rsna_2023", tmp_path, train=["a,b", "1,2"])
    with pytest.raises(SourceError, match="There is no table breast-level_annotations"):
        check("vindr_mammo", tmp_path)
