"""JPEG pictures from the source to the score: only where the source says that it has them."""

import json
import pickle

import cv2
import numpy as np
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from mammo_core.cli.dicom import app as dicom_app
from mammo_core.cli.sources import app as sources_app
from mammo_core.datasets import ImageRecord
from mammo_core.datasets.tfrecord import read_records
from mammo_core.dicom import read_image
from mammo_core.errors import RecipeError, SourceError
from mammo_core.imaging import to_full_range
from mammo_core.ingest import ConvertConfig, RunnerConfig, convert
from mammo_core.preprocessing import Conversion, Geometry, Preprocessing
from mammo_core.recipes import load_recipe
from mammo_core.scoring.files import InputFile
from mammo_core.scoring.images import PolicyRule, Reject, decode_file
from mammo_core.sources import Adapter, SourceConfig, SourceFiles, adapter, index
from mammo_core.sources.auditing.policy import ImagePolicy
from mammo_core.sources.files.file_fact_cache import FileFactCache
from mammo_core.sources.files.file_inspection import inspect_files
from mammo_core.sources.source_index import listing_digest
from mammo_core.store import open_store

GEOMETRY = Geometry(height=96, width=80)
HEADER = "image_path,patient_id,laterality,view,label,lesion_type,lesion_mask\n"


def write_image(path, seed):
    """A drawn breast at the left, of 8 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[-1:1:128j, 0:1:96j]
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 40, y.shape), (0, 0), 2)
    picture = np.where(y**2 + (x / 0.8) ** 2 < 0.9, 140 + 60 * np.cos(3 * y) + noise, 0)
    cv2.imwrite(str(path), picture.clip(0, 255).astype(np.uint8))


def write_mask(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((128, 96), np.uint8)
    mask[40:60, 20:40] = 255
    cv2.imwrite(str(path), mask)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A table of two JPEG files and a PNG file, one with a mask."""
    monkeypatch.setenv("MAMMO_SITE_KEY", "a site key of the tests")
    for seed, name in enumerate(("1.jpg", "2.JPEG", "3.png")):
        write_image(tmp_path / "images" / name, seed)
    write_mask(tmp_path / "images/mask.png")
    write_mask(tmp_path / "images/mask.jpg")
    rows = ["1.jpg,a,L,CC,malignant,mass,mask.png", "2.JPEG,b,L,CC,benign,,", "3.png,c,L,CC,0,,"]
    (tmp_path / "own.csv").write_text(HEADER + "\n".join(rows) + "\n")
    return tmp_path


def config_of(data, **options):
    return SourceConfig(
        adapter="table", root=str(data / "images"), tables=str(data / "own.csv"), table=options
    )


def warnings_of(tables):
    images = tables.images.set_index("path")
    return {path: images.loc[path, "warnings"] for path in images.index}


def test_a_table_names_the_option_or_reads_them_with_a_warning(data):
    refused = index(config_of(data))
    assert list(refused.images["path"]) == ["3.png"]
    reasons = list(refused.rejects["reason"])
    assert len(reasons) == 2 and all("lossy_jpeg of its source" in text for text in reasons)
    tables = index(config_of(data, lossy_jpeg=True))
    assert tables.rejects.empty
    assert len(tables.lesions) == 1
    codes = {path: "lossy" in text for path, text in warnings_of(tables).items()}
    assert codes == {"1.jpg": True, "2.JPEG": True, "3.png": False}


def test_a_mask_is_never_jpeg(data):
    (data / "own.csv").write_text(f"{HEADER}1.jpg,a,L,CC,malignant,mass,mask.jpg\n")
    tables = index(config_of(data, lossy_jpeg=True))
    assert len(tables.images) == 1 and tables.lesions.empty
    assert "mask.jpg is a JPEG picture" in tables.rejects["reason"].iloc[0]


def test_folders(tmp_path):
    write_image(tmp_path / "train/neg/P_00001_LEFT_CC.jpg", 1)
    write_image(tmp_path / "train/pos/P_00002_LEFT_CC.JPG", 2)
    config = SourceConfig(adapter="folders", root=str(tmp_path))
    with pytest.raises(SourceError, match=r"source\.folders\.lossy_jpeg"):
        index(config)
    lossy = SourceConfig(adapter="folders", root=str(tmp_path), folders={"lossy_jpeg": True})
    assert list(index(lossy).images["malignant"]) == [0, 1]


def test_folders_with_a_case_table(tmp_path):
    write_image(tmp_path / "full/P_00001_LEFT_CC.jpeg", 1)
    write_mask(tmp_path / "masks/Mass-Training_P_00001_LEFT_CC_1.png")
    table = tmp_path / "cases.csv"
    table.write_text(
        "patient_id,side,view,abn_num,pathology,type\nP_00001,LEFT,CC,1,MALIGNANT,mass\n"
    )
    options = {"images": "full", "masks": "masks", "lossy_jpeg": True}
    config = SourceConfig(adapter="folders", root=str(tmp_path), tables=str(table), folders=options)
    tables = index(config)
    assert (len(tables.images), len(tables.lesions)) == (1, 1)


def test_the_option_is_part_of_what_the_tables_depend_on(data):
    plain, lossy = config_of(data), config_of(data, lossy_jpeg=True)
    files = plain.files()
    assert listing_digest(plain, files) != listing_digest(lossy, files)
    cache = FileFactCache()
    for config, count in ((plain, 1), (lossy, 3), (plain, 1)):
        files = config.files()
        files.fact_cache = cache
        tables = index(config, files=files)
        assert len(tables.images) == count
        assert len(inspect_files(files, tables.images).measured) == count


def test_an_adapter_can_declare_that_its_collection_is_jpeg(monkeypatch):
    name = "published_as_jpeg"
    declared = Adapter(name=name, index=lambda *_: None, lossy_jpeg=True)
    # Registered for this test alone: other tests list all adapters.
    monkeypatch.setitem(adapter._ADAPTERS, name, declared)
    assert SourceConfig(adapter=name, root="a").files().lossy_jpeg
    assert not SourceConfig(root="a").files().lossy_jpeg
    assert load_recipe("phantom", [f"source={{adapter: {name}, root: a}}"]).convert.lossy_jpeg


def test_workers_read_them_too(data):
    files = pickle.loads(pickle.dumps(config_of(data, lossy_jpeg=True).files()))
    assert files.lossy_jpeg
    assert not pickle.loads(pickle.dumps(SourceFiles.open(str(data)))).lossy_jpeg
    tables = index(config_of(data, lossy_jpeg=True))
    store = open_store(f"file://{data / 'store'}")
    manifests = [
        convert(
            store,
            tables.images,
            tables.lesions,
            root=data / "images",
            config=ConvertConfig(geometry=GEOMETRY, lossy_jpeg=lossy),
            runner=RunnerConfig(workers=2, mode="processes"),
            lineage={},
        )
        for lossy in (False, True)
    ]
    assert [manifest.counts["images"] for manifest in manifests] == [1, 3]
    assert manifests[0].id != manifests[1].id
    paths = tables.images.set_index("image_id")["path"]
    for file in manifests[1].files_like("shard-"):
        for content in read_records(store.fetch(file.key)):
            record = ImageRecord.from_bytes(content)
            image = read_image(data / "images" / paths[record.image_id], lossy_jpeg=True)
            full = to_full_range(image.pixels, 8)
            assert np.array_equal(record.pixels, GEOMETRY.apply(full))


def test_a_recipe_takes_it_from_its_source():
    table = "source={adapter: table, root: a, tables: a.csv, table: {lossy_jpeg: true}}"
    recipe = load_recipe("phantom", [table])
    assert recipe.convert.lossy_jpeg
    assert load_recipe(recipe.to_json()) == recipe
    with pytest.raises(RecipeError, match=r"convert\.lossy_jpeg False, but the source"):
        load_recipe("phantom", [table, "convert.lossy_jpeg=false"])
    with pytest.raises(RecipeError, match=r"convert\.lossy_jpeg True, but the source"):
        load_recipe("phantom", ["convert.lossy_jpeg=true"])
    with pytest.raises(ValidationError):  # CBIS-DDSM is published as DICOM
        SourceConfig(adapter="cbis_ddsm", root="a", cbis_ddsm={"lossy_jpeg": True})


def test_ids_of_data_without_jpeg_stay():
    assert "lossy_jpeg" not in Conversion().model_dump(mode="json")
    assert Conversion(lossy_jpeg=True).model_dump(mode="json")["lossy_jpeg"] is True


def test_only_a_package_that_was_trained_on_them_scores_them(data):
    def score(*lossy):
        models = [
            Preprocessing(geometry=GEOMETRY, mean=0, conversion=Conversion(lossy_jpeg=value))
            for value in lossy
        ]
        rule = PolicyRule(tuple(ImagePolicy() for _ in models))
        return decode_file(
            InputFile("P_1_LEFT_CC.jpg", path=data / "images/1.jpg"), models, None, rule
        )

    assert isinstance(score(False), Reject)
    assert "packages that were trained on it" in score(False).reason
    assert isinstance(score(True, False), Reject)  # each member of an ensemble must take it
    image = score(True)
    assert image.facts.view == "CC"
    assert "lossy" in [warning.code for warning in image.warnings]


def run(app, *arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_line_reads_them_when_asked(data, tmp_path):
    inspect = (dicom_app, "inspect", data / "images/1.jpg", "--json")
    refused = json.loads(run(*inspect).stdout)
    assert not refused["readable"] and refused["transfer_syntax"] == "JPEG"
    result = json.loads(run(*inspect, "--lossy-jpeg", "--png", tmp_path / "png").stdout)
    assert result["readable"] and result["warnings"][0]["code"] == "lossy"
    picture = cv2.imread(str(tmp_path / "png/1.png"), cv2.IMREAD_UNCHANGED)
    levels = read_image(data / "images/1.jpg", lossy_jpeg=True).pixels
    assert np.array_equal(picture, to_full_range(levels, 8))
    check = (sources_app, "check", "--source", "table", "--tables", data / "own.csv")
    check += ("--images", data / "images", "--json")
    assert len(json.loads(run(*check).stdout)["problems"]) == 2
    assert json.loads(run(*check, "--lossy-jpeg").stdout)["problems"] == []
    cbis = run(sources_app, "check", "--lossy-jpeg", "--tables", data)
    assert "--lossy-jpeg cannot be used" in str(cbis.exception)
