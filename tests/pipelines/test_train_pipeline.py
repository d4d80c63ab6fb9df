import io

import pytest
import yaml

from pipelines.local import _Lines, _without_retries, compile_pipeline
from pipelines.train import train

# KFP's compiler warns of its own deprecations.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kfp")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> str:
    return compile_pipeline(train, tmp_path_factory.mktemp("yaml") / "train.yaml").read_text()


def test_compiles_the_same_twice(compiled, tmp_path):
    assert compile_pipeline(train, tmp_path / "again.yaml").read_text() == compiled


def test_holds_no_secret_host_path_or_address(compiled):
    for word in ("/work", "/home", "/tmp/pytest", "127.0.0.1", "localhost", "secret", "password"):
        assert word not in compiled.lower()


def test_every_task_runs_in_our_image_without_installing_kfp(compiled):
    spec = yaml.safe_load(compiled)
    for executor in spec["deploymentSpec"]["executors"].values():
        container = executor["container"]
        assert container["image"].startswith("mammo-pipelines/")
        assert "pip install" not in " ".join(container["command"])


def test_parameters_have_defaults_and_descriptions(compiled):
    parameters = yaml.safe_load(compiled)["root"]["inputDefinitions"]["parameters"]
    assert set(parameters) == {"recipe", "store", "run_id"}
    assert all(parameter["description"] for parameter in parameters.values())


def test_kfp_caches_nothing(compiled):
    def tasks(node):
        yield from node.get("dag", {}).get("tasks", {}).items()

    spec = yaml.safe_load(compiled)
    nodes = [spec["root"], *spec["components"].values()]
    leaves = [
        task
        for node in nodes
        for _, task in tasks(node)
        if "executorLabel" in spec["components"][task["componentRef"]["name"]]
    ]
    assert len(leaves) == 10
    assert not any(task["cachingOptions"].get("enableCache") for task in leaves)


def test_local_runs_have_no_retries(compiled):
    assert "retryPolicy" in compiled
    assert "retryPolicy" not in _without_retries(compiled)


def test_only_the_steps_own_lines_are_shown(capsys):
    log = io.StringIO()
    lines = _Lines(log)
    text = "    [KFP Executor 2026 INFO]: x\n    [convert] 3/4 images\nI0000 noise\n[train-patch] a"
    lines.write(text)
    lines.write("b\n")
    assert capsys.readouterr().out == "[convert] 3/4 images\n[train-patch] ab\n"
    assert log.getvalue() == text + "b\n"
