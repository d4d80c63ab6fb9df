import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mammo_core.cli.sources import app
from mammo_core.errors import RecipeError
from mammo_core.phantom import PhantomConfig, create
from mammo_core.sources import SourceFiles
from mammo_core.sources.adapters.cbis_ddsm.check import check_cbis_ddsm
from mammo_core.store import open_store
from mammo_core.store.upload import upload

REAL = Path(
    os.environ.get("MAMMO_REAL_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data in {REAL}")
def test_check_without_any_image():
    command = ["check", "--source", "cbis-ddsm", "--tables", str(REAL / "cbis_ddsm_csv")]
    facts = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert (facts["rows"], facts["views"], facts["patients"]) == (3568, 3032, 1566)
    assert facts["leaking_patients"] == 31
    assert facts["test_without_leak"] == {"views": 591, "malignant": 244, "patients": 318}
    plain = CliRunner().invoke(app, command).stdout
    assert "31 patients are in train and in test" in plain


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data in {REAL}")
def test_check_with_no_image_is_quick_and_counts_what_is_missing(tmp_path):
    mammo = Path(sys.executable).parent / "mammo"
    command = [mammo, "sources", "check", "--source", "cbis-ddsm", "--json"]
    command += ["--tables", REAL / "cbis_ddsm_csv", "--images", tmp_path]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    facts = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # The target is 5 s by the clock; processor time does not depend on other processes.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5
    assert facts["missing"] == {"images": 3103, "views": 3032, "lesions": 3568}
    assert facts["splits"]["train"]["views"] == 2420
    assert facts["files"]["images"] == 0 and facts["rejects"] == []


def test_counting_loads_no_pandas_and_no_codec(tmp_path):
    code = (
        "import sys; from mammo_core.sources.adapters.cbis_ddsm.check import check_cbis_ddsm;"
        "facts = check_cbis_ddsm(sys.argv[1], sys.argv[2]);"
        "assert facts['missing']['views'] == facts['views'];"
        "print(*sys.modules)"
    )
    tables, empty = tmp_path / "tables", tmp_path / "none"
    create(tables, PhantomConfig(patients=4, height=96, width=72), workers=1)
    empty.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code, tables, empty],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not set(done.stdout.split()) & {"pandas", "numpy", "cv2", "pydicom", "pydantic"}


def test_functions_with_the_name_of_their_module_stay_functions():
    code = (
        "import mammo_core.sources.index, mammo_core.sources.auditing.audit;"
        "from mammo_core.sources import audit, index; assert callable(audit) and callable(index)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_part_of_the_images_is_counted(tmp_path):
    create(tmp_path, PhantomConfig(patients=4, height=96, width=72), workers=1)
    whole = check_cbis_ddsm(str(tmp_path), str(tmp_path))
    first = sorted(path for path in tmp_path.iterdir() if path.name.endswith("_CC"))[0]
    shutil.rmtree(first)
    facts = check_cbis_ddsm(str(tmp_path), str(tmp_path))
    assert facts["missing"]["images"] == 1
    assert facts["files"]["located_by"]["nowhere"] == 1
    assert facts["rejects"][0]["item"].startswith(first.name)
    assert facts["rows"] == whole["rows"] and whole["missing"]["images"] == 0


@pytest.mark.s3
def test_check_from_a_bucket(s3_environment, tmp_path):
    tree = tmp_path / "tree"
    create(tree, PhantomConfig(patients=4, height=96, width=72), workers=1)
    files = SourceFiles.open(str(tree))
    uri = "s3://mammo-check/in"
    upload(open_store(uri), {name: files.local(name) for name in files.names()})
    result = CliRunner().invoke(app, ["check", "--tables", uri, "--images", uri, "--json"])
    facts = json.loads(result.stdout)
    assert facts.pop("terms")["license"] == "CC BY 3.0"
    assert facts == check_cbis_ddsm(str(tree), str(tree))


def test_check_with_images(tmp_path):
    create(tmp_path, PhantomConfig(patients=4, height=96, width=72), workers=1)
    command = ["check", "--tables", str(tmp_path), "--images", str(tmp_path)]
    facts = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert facts["rejects"] == []
    assert facts["files"]["views"] == facts["views"]
    plain = CliRunner().invoke(app, command)
    assert "lesions with a mask" in plain.stdout
    assert "masks:" in plain.stderr


def test_an_unknown_source_is_refused_with_the_known_ones(tmp_path):
    result = CliRunner().invoke(app, ["check", "--source", "x", "--tables", str(tmp_path)])
    assert isinstance(result.exception, RecipeError)
    assert "cbis-ddsm, cmmd, csaw-cc, embed, folders, inbreast" in str(result.exception)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--source", "table"], "--tables"),
        (["--source", "folders"], "--images"),
        (["--tables", "x", "--patient-ids-in-paths"], "patient_ids_in_paths"),
    ],
)
def test_options_that_do_not_fit_the_adapter_are_refused(options, message):
    result = CliRunner().invoke(app, ["check", *options])
    assert isinstance(result.exception, RecipeError) and message in str(result.exception)
