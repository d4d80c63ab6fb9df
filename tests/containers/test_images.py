import json
from pathlib import Path

import pytest

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(3000)]
REPOSITORY = Path(__file__).resolve().parent.parent.parent
#: Bytes; docs/cluster.md lists the measured sizes.
LIMITS = {"data": 1.2e9, "train": 2.5e9}
NAMES = tuple(LIMITS)


@pytest.mark.parametrize("name", NAMES)
def test_size(images, name):
    assert images[name]["Size"] <= LIMITS[name]


@pytest.mark.parametrize("name", NAMES)
def test_user_entry_point_and_labels(images, name, tag):
    config = images[name]["Config"]
    assert config["User"] == "10001:10001"
    assert not config["Entrypoint"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.revision"] == tag
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert f"MAMMO_GIT_SHA={tag}" in config["Env"]


def _run(docker, tag, name, script, *options):
    words = ("run", "--rm", "--network=none", "--read-only", "--tmpfs", "/scratch:mode=1777")
    return docker(*words, *options, f"mammo-pipelines/{name}:{tag}", "sh", "-c", script)


@pytest.mark.parametrize("name", NAMES)
def test_runs_with_a_read_only_root_and_without_rights(docker, images, tag, name):
    script = "id -u; mammo --help >/dev/null && mammo pipeline --help >/dev/null && echo fine"
    output = _run(docker, tag, name, script, "--cap-drop=ALL", "--security-opt=no-new-privileges")
    assert output.split() == ["10001", "fine"]


@pytest.mark.parametrize("name", NAMES)
def test_no_compiler_or_cache_is_left(docker, images, tag, name):
    script = (
        "for tool in gcc cc make ld strip; do command -v $tool && echo has $tool; done; "
        "ls /root/.cache /opt/mammo/bin/pip* /src 2>/dev/null; true"
    )
    assert _run(docker, tag, name, script) == ""


def test_the_data_image_has_no_tensorflow(docker, images, tag):
    script = "python -c 'import importlib.util as u; print(u.find_spec(\"tensorflow\"))'"
    assert _run(docker, tag, "data", script).strip() == "None"


def test_recipes_are_in_the_images(docker, images, tag):
    code = 'from mammo_core.recipes import load_recipe; print(load_recipe("phantom").name)'
    script = f"python -c '{code}'"
    for name in NAMES:
        assert _run(docker, tag, name, script).strip() == "phantom"


@pytest.mark.parametrize("name", NAMES)
def test_each_has_an_sbom(images, name):
    bill = json.loads((REPOSITORY / "build" / "sbom" / f"{name}.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    components = {component["name"] for component in bill["components"]}
    assert {"pydicom", "apache-beam"} <= components
    # Debian's packages too, by their package URLs.
    urls = {component.get("purl", "") for component in bill["components"]}
    assert any(url.startswith("pkg:deb/debian/libc6@") for url in urls)
    assert ("tensorflow-cpu" in components) == (name == "train")
