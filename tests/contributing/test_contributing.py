"""The worked examples of CONTRIBUTING.md, each used in a run from its module alone.

The modules beside this one register an adapter, a network, a metric and a step from outside the
library.
"""

import ast
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
from kfp import dsl
from sklearn.metrics import matthews_corrcoef

from mammo_core import steps
from mammo_core.datasets import kinds
from mammo_core.datasets.tables import read_table
from mammo_core.evaluation.kinds import EVALUATION
from mammo_core.metrics import metric as metric_registry
from mammo_core.metrics import metrics
from mammo_core.models import network_of
from mammo_core.models import registry as network_registry
from mammo_core.phantom import PhantomConfig, create
from mammo_core.runs.garbage import find_garbage
from mammo_core.sources import adapter as adapter_registry
from mammo_core.sources import registered_adapters
from mammo_core.steps import step as step_module
from mammo_core.store import open_store
from mammo_core.training.kinds import IMAGE_TRAINING, PATCH_TRAINING
from mammo_core.training.networks import load_network
from tests.support.drawings import draw_breast
from tests.support.training_run import begin_run

FOLDER = Path(__file__).parent
RECIPE = str(FOLDER.parent / "e2e" / "recipe.yaml")
LIBRARY = FOLDER.parent.parent / "mammo_core"
#: Folder of the registered modules → the folder in which other modules may import them by name.
EXTENSIONS = {
    # `suggest` writes the options of the adapter `table`.
    "sources/adapters": ("sources/adapters/", "sources/suggest/"),
    "models/networks": ("models/networks/",),
    "metrics/binary": ("metrics/",),
}


#: Prints the garbage of a store, and the steps of other packages.
GARBAGE = """
import json, sys
from mammo_core.runs.garbage import find_garbage
from mammo_core.steps import registered_steps
from mammo_core.store import open_store
found = find_garbage(open_store(sys.argv[1]), []).garbage
steps = [name for name, step in registered_steps().items() if step.__module__[:5] != "mammo"]
print(json.dumps({"garbage": [item.name for item in found], "steps": steps}))
"""


def load(name):
    """Import an example, which registers it."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def adapter(monkeypatch):
    monkeypatch.setattr(adapter_registry, "_ADAPTERS", dict(registered_adapters()))
    return load("adapter").PAIRS


@pytest.fixture(scope="module")
def network():
    network = load("network").NETWORK
    yield network
    del network_registry._REGISTERED[network.name]


@pytest.fixture(scope="module")
def metric():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metric_registry, "_METRICS", {item.name: item for item in metrics()})
        yield load("metric").MATTHEWS


@pytest.fixture(scope="module")
def step():
    module = load("step")
    yield module
    del kinds._REGISTERED[module.CASE_MIX.folder]
    del step_module._DECLARED[module.case_mix.name]


@pytest.fixture(scope="module")
def phantom_run(network, tmp_path_factory):
    """Start a run on a small phantom; its recipe names the network of the example."""
    work = tmp_path_factory.mktemp("contributing")
    create(work / "tree", PhantomConfig(patients=14, seed=2, height=192, width=144), workers=1)
    settings = [
        f"source.root={json.dumps(str(work / 'tree'))}",
        "evaluation.overlays=0",
        "patch_training.network.name=small_outside",
        "image_training.head={kind: vgg, depths: [8], repetitions: [1]}",
    ]

    def start(run_id):
        return begin_run(open_store(f"file://{work}/store"), run_id, RECIPE, settings)

    return start


@pytest.fixture(scope="module")
def outputs(metric, phantom_run):
    """The run up to its evaluation."""
    run = phantom_run("trained")
    tables = steps.index(run)
    images = steps.convert(run, tables=tables)
    frame = steps.publish_features(run, tables=tables, images=images)
    patches = steps.sample(run, tables=tables, images=images)
    data = {"images": images, "frame": frame}
    networks = {"patch_training": steps.train_patch(run, patches=patches, frame=frame)}
    networks["image_training"] = steps.train_image(run, **data, **networks)
    evaluation = steps.evaluate(run, **data, **networks, patches=patches)
    return run, {**data, **networks, "evaluation": evaluation}


def test_the_adapter_fills_the_tables_and_records_of_a_run(adapter, file_store, tmp_path):
    root = tmp_path / "pairs"
    root.mkdir()
    for number, name in enumerate(("pair1-L-m", "pair1-R-b", "pair2-L-b")):
        pixels = draw_breast(number, 16, (96, 80))
        cv2.imwrite(str(root / f"{name}.png"), pixels)
    source = f"source={{adapter: pairs, root: {json.dumps(str(root))}, pairs: {{malignant: b}}}}"
    run = begin_run(file_store, "pairs", RECIPE, [source])
    tables = steps.index(run)
    images = read_table(file_store, tables, "images.parquet")
    assert dict(zip(images["view_id"], images["malignant"], strict=True)) == {
        "pair1_LEFT_MLO": 0,
        "pair1_RIGHT_MLO": 1,
        "pair2_LEFT_MLO": 1,
    }
    assert tables.counts["rejects"] == 0
    converted = steps.convert(run, tables=tables)
    assert converted.counts["images"] == 3
    assert converted.lineage["tables"] == tables.id


@pytest.mark.slow
def test_the_network_is_trained_by_a_recipe(network, outputs):
    run, manifests = outputs
    trained = manifests["patch_training"]
    assert trained.config["network"]["name"] == network.name
    assert len(PATCH_TRAINING.facts_of(trained).classes) == 5
    patch_model = load_network(run.store, trained)
    assert network_of(patch_model) is network
    assert IMAGE_TRAINING.facts_of(manifests["image_training"]).start.endswith(trained.id)
    image_model = load_network(run.store, manifests["image_training"])
    assert network_of(image_model) is network
    assert {layer.name for layer in image_model.layers} >= {"block1_conv", "block2_conv"}


@pytest.mark.slow
def test_the_metric_is_in_the_facts_the_report_and_the_model_card(metric, outputs):
    run, manifests = outputs
    evaluation = manifests["evaluation"]
    facts = EVALUATION.facts_of(evaluation).summary.model_dump(mode="json")
    test = read_table(run.store, evaluation, "test.parquet")
    expected = matthews_corrcoef(test["label"], test["probability"] >= 0.5)
    assert facts["matthews"] == pytest.approx(expected)

    def text(name):
        return run.store.read(evaluation.file(name).key).decode()

    value = json.loads(text("metrics.json"))["image"]["levels"][0]["matthews"]
    assert value["value"] == facts["matthews"] and value["low"] <= value["value"] <= value["high"]
    row = f"{value['value']:.2f} ({value['low']:.2f}–{value['high']:.2f})"
    page = text("report.html")
    for shown in (metric.label.replace("'", "&#39;"), metric.description, row):
        assert shown in page
    assert f"| {metric.label} | {row} |" in text("summary.md")
    assert f"- matthews: {value['value']:.4f}" in model_card(facts)


def test_the_step_makes_an_output_of_its_kind_once(step, phantom_run, capsys):
    run = phantom_run("mixed")
    store, tables = run.store, steps.index(run)
    mix = step.case_mix(run, tables=tables)
    images = read_table(store, tables, "images.parquet")
    facts = step.CASE_MIX.facts_of(mix)
    assert facts.patients == images["patient_key"].nunique()
    assert facts.malignant == images["malignant"].sum() > 0
    assert read_table(store, mix, "counts.parquet")["n"].sum() == len(images)
    status = run.statuses()["case-mix"]
    assert (status["state"], status["reused"], status["output"]) == ("succeeded", False, mix.key)
    assert status["facts"] == facts.model_dump() and status["counts"] == {"images": len(images)}

    assert step.case_mix(run, tables=tables) == mix
    assert run.statuses()["case-mix"]["reused"]
    assert f"[case-mix] reusing {mix.folder}" in capsys.readouterr().out


def test_the_component_of_the_step_calls_it_with_paths(step, phantom_run, tmp_path):
    run = phantom_run("component")
    tables = dsl.Dataset(uri=str(tmp_path / "tables"))
    Path(tables.path).write_text(steps.index(run).to_json())
    mix = dsl.Dataset(uri=str(tmp_path / "mix"))
    load("component").case_mix.python_func(
        store=run.store.uri,
        run_id=run.id,
        kfp_run_id="",
        recipe="",
        recipe_digest="",
        tables=tables,
        mix=mix,
    )
    assert mix.metadata["id"] == json.loads(Path(mix.path).read_text())["id"]
    assert run.statuses()["case-mix"]["state"] == "succeeded"


def test_every_process_knows_the_step_and_its_kind_by_its_entry_point(
    step, phantom_run, file_store, tmp_path
):
    """`mammo store gc` finds an output of a step that nothing imports by its name."""
    shared = phantom_run("entry-point")
    mix = step.case_mix(shared, tables=steps.index(shared))
    for key in shared.store.list(mix.folder):
        file_store.write(key, shared.store.read(key))
    metadata = tmp_path / "case_mix-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: case-mix\nVersion: 1.0\n")
    command = [sys.executable, "-c", GARBAGE, file_store.uri]
    path = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(LIBRARY.parent)])}
    answers = []
    for names in ("[mammo.steps]\nmix = tests.contributing.step\n", ""):
        (metadata / "entry_points.txt").write_text(names)
        done = subprocess.run(
            command, env={**os.environ, **path}, capture_output=True, text=True, check=True
        )
        answers.append(json.loads(done.stdout))
    assert answers == [
        {"garbage": [mix.folder], "steps": ["case-mix"]},
        {"garbage": [], "steps": []},
    ]


def test_garbage_collection_knows_the_kind_of_the_step(step, phantom_run, file_store, tmp_path):
    shared = phantom_run("garbage")
    tables = steps.index(shared)
    mix = step.case_mix(shared, tables=tables)
    for key in shared.store.list(""):  # a store with these two outputs alone
        if key.startswith((mix.folder, tables.folder)):
            file_store.write(key, shared.store.read(key))

    def garbage(*referred):
        report = find_garbage(file_store, referred)
        return {item.name for item in report.garbage}, {output.id for output in report.kept}

    assert garbage(mix.id) == (set(), {mix.id, tables.id})
    # It is intermediate: nothing refers to it, and no run is in progress.
    assert garbage() == ({mix.folder, tables.folder}, set())
    then = time.time() - 48 * 3600
    left_over = f"{mix.folder}/left-over"
    file_store.write(left_over, b"x")
    os.utime(file_store.root / left_over, (then, then))
    items = find_garbage(file_store, [mix.id]).garbage
    assert [(item.name, item.keys) for item in items] == [(mix.folder, (left_over,))]


def test_the_library_names_no_adapter_network_or_metric():
    """A new one is one file that discovery imports: no other code file has to be touched."""
    imports = {
        (path.relative_to(LIBRARY).as_posix(), f"{node.module}.")
        for path in sorted(LIBRARY.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    for folder, may_import in EXTENSIONS.items():
        assert any((LIBRARY / folder).iterdir())
        package = f"mammo_core.{folder.replace('/', '.')}."
        importing = {path for path, module in imports if module.startswith(package)}
        assert not [path for path in importing if not path.startswith(may_import)]


def model_card(summary):
    from mammo_core.evaluation.decisions import DecisionRules
    from mammo_core.packaging import PackageManifest, TrainingData
    from mammo_core.packaging.card import card, markdown
    from mammo_core.preprocessing import Geometry, Preprocessing

    return markdown(
        card(
            manifest=PackageManifest(format=3, name="m", model_id="a" * 64, versions={}),
            preprocessing=Preprocessing(geometry=Geometry(height=64, width=48), mean=1.0),
            label_map={"neg": 0, "pos": 1},
            rules=DecisionRules(),
            data=TrainingData(),
            metrics=summary,
            lineage={},
            intended_use="Research.",
            limitations=(),
        )
    )
