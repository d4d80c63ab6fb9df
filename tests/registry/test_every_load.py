"""The trust policy holds wherever a package is opened: there is one door."""

import ast
import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from mammo_core.cli import models, score, serve
from mammo_core.datasets import publish
from mammo_core.datasets.kinds import Facts, Kind
from mammo_core.datasets.manifests import put_bytes
from mammo_core.errors import ModelError, RecordError
from mammo_core.packaging import verify
from mammo_core.packaging.signatures.checksums import SUMS, write_sums
from mammo_core.registry import (
    champion,
    open_candidate,
    open_package,
    promote,
    push,
    rollback,
)
from mammo_core.registry.comparison import compare_packages
from mammo_core.steps.train import _start_package

LIBRARY = Path(__file__).parents[2]


def test_packages_are_opened_through_one_door():
    """Nothing but the door verifies, loads or fetches a package by itself."""
    doors = {"mammo_core/registry/opening.py", "mammo_core/registry/resolution.py"}
    hidden = {
        "mammo_core.packaging": {"verify", "load", "self_check"},
        "mammo_core.packaging.package": {"verify", "load"},
        "mammo_core.packaging.self_check": {"self_check"},
        "mammo_core.registry.resolution": {"resolve_version", "find_version"},
        "mammo_core.registry.versions": {"fetch_version"},
    }
    # Ancestors are looked up by their lineage alone, which `read_version_file` verifies.
    # Ids of runs contain the model id of the package they start from; nothing is loaded by it.
    allowed = {
        ("mammo_core/registry/lineage/ancestry.py", "find_version"),
        ("mammo_core/registry/lineage/start_identity.py", "find_version"),
    }
    for folder in ("mammo_core", "components", "pipelines"):
        for path in sorted((LIBRARY / folder).rglob("*.py")):
            name = path.relative_to(LIBRARY).as_posix()
            if name in doors or name.startswith("mammo_core/packaging/"):
                continue
            text = path.read_text()
            if not any(module in text for module in hidden):
                continue
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ImportFrom):
                    names = {alias.name for alias in node.names} & hidden.get(node.module, set())
                    names -= {imported for file, imported in allowed if file == name}
                    # The declared exports of a package are no uses.
                    assert not names or name.endswith("/__init__.py"), f"{name} imports {names}"


def _change(store, name, version):
    """Change a version as whoever can write to the store may: every digest is right."""
    folder = Path(store.root) / f"models/{name}/{version}"
    (folder / "metrics.json").write_text('{"auc": 0.99}')
    write_sums(folder)
    key = f"models/{name}/published/{version}.json"
    marker = json.loads(store.read(key))
    marker["sums"] = hashlib.sha256((folder / SUMS).read_bytes()).hexdigest()
    store.write(key, json.dumps(marker).encode())


def _step_loads(store, uri):
    """The steps that open a package, up to the point where they do."""
    from mammo_core.steps import ensemble, scoring

    recipe = SimpleNamespace(image_training=SimpleNamespace(start=uri))
    context = SimpleNamespace(store=store, recipe=recipe)
    return {
        "train-image": lambda: _start_package(uri),
        "start-from": lambda: ensemble.start_from.__wrapped__(context),
        "score": lambda: scoring.score.__wrapped__(context, uri, "file:///nowhere"),
    }


def test_a_changed_version_is_refused_at_every_load(
    store, light_package, keys, configure, tmp_path
):
    configure([keys.mine], keys.mine)
    for content in "abc":
        push(store, light_package(content), "m")
    for version in (1, 2, 3):
        _change(store, "m", version)
    uri = f"{store.uri}/models/m"
    (tmp_path / "image.dcm").write_bytes(b"")
    app = typer.Typer()
    app.add_typer(models.app, name="models")
    app.command("score")(score.score)
    app.command("serve")(serve.serve)
    loads = {
        "open": lambda: open_package(uri),
        "open a version": lambda: open_package(f"{uri}/1"),
        "lineage": lambda: champion(store, "m").lineage(store),
        "promote": lambda: promote(store, "m", 1),
        "rollback": lambda: rollback(store, "m"),
        "compare": lambda: compare_packages(f"{uri}/1", f"{uri}/2"),
        "push": lambda: push(store, Path(store.root) / "models/m/1", "m"),
        **_step_loads(store, uri),
    }
    for arguments in (
        ["models", "verify", uri, "--no-run"],
        ["models", "show", uri],
        ["models", "describe", f"{uri}/1"],
        ["models", "push", f"{uri}/1", "--store", store.uri],
        ["score", str(tmp_path / "image.dcm"), "--model", uri, "--out", str(tmp_path / "s.csv")],
        ["serve", "--model", uri, "--port", "0"],
    ):
        loads[" ".join(arguments[:2])] = lambda arguments=arguments: CliRunner().invoke(
            app, arguments, catch_exceptions=False
        )
    for name, load in loads.items():
        with pytest.raises(ModelError, match=r"signature.*metrics\.json was changed") as error:
            pytest.fail(f"{name}: {load()}")
        assert "mine" in str(error.value), name
    # Digests alone do not notice it.
    configure()
    assert open_package(uri).version == 3


def test_a_version_is_not_accepted_as_another_one(store, light_package, keys, configure):
    """Name, version and model id are inside what is signed."""
    configure([keys.mine], keys.mine)
    for content in "ab":
        push(store, light_package(content), "m")
    push(store, light_package("c"), "other")
    root = Path(store.root) / "models"
    assert json.loads((root / "m/2/release.json").read_text()) == {
        "name": "m",
        "version": 2,
        "model_id": champion(store, "m").model_id,
        "signed_by": keys.mine.id,
    }
    for source in ("m/1", "other/1"):
        shutil.rmtree(root / "m/2")
        shutil.copytree(root / source, root / "m/2")
        name, version = source.split("/")
        shutil.copy(root / f"{name}/published/{version}.json", root / "m/published/2.json")
        with pytest.raises(ModelError, match=f"Received version {version} of {name}"):
            open_package(f"{store.uri}/models/m/2")
        with pytest.raises(ModelError):
            open_package(f"{store.uri}/models/m")
        with pytest.raises(ModelError, match="is not what was published"):
            promote(store, "m", 2)


def test_a_signature_is_replaced_by_a_push_and_never_lost(store, light_package, keys, configure):
    configure(None, keys.mine)
    push(store, light_package("a"), "m")
    folder = Path(store.root) / "models/m/1"
    configure()
    with pytest.raises(ModelError, match=r"signature .* would be lost"):
        push(store, folder, "other")
    configure([keys.mine, keys.other], keys.other)
    assert push(store, folder, "other").signed_by == keys.other.id
    assert open_package(f"{store.uri}/models/other").key.name == "other"
    configure([keys.other], keys.other)
    with pytest.raises(ModelError, match="unknown key"):
        push(store, folder, "another")


def test_a_network_without_a_package_is_refused_where_signatures_are_required(
    tmp_path, keys, configure
):
    network = tmp_path / "network.keras"
    network.write_bytes(b"never parsed")
    configure([keys.mine])
    with pytest.raises(ModelError, match=r"network network\.keras is unsigned"):
        open_package(str(network))
    configure()
    with pytest.raises(ModelError, match=r"network network\.keras is unsigned"):
        open_package(str(network), keys.mine.public)


class CandidateFacts(Facts):
    """No facts."""


CANDIDATE = Kind("test-candidates", 1, CandidateFacts)


def test_a_candidate_is_opened_by_the_digests_of_its_manifest(
    store, light_package, keys, configure
):
    configure([keys.mine], keys.mine)
    folder = light_package("a")

    def candidate(id, names):
        files = [
            put_bytes(store, f"test-candidates/{id}", name, (folder / name).read_bytes())
            for name in names
        ]
        return publish(
            store, CANDIDATE.manifest(id, config={}, files=files, facts=CandidateFacts())
        )

    names = sorted(path.name for path in folder.iterdir())
    manifest = candidate("1", names)
    assert open_candidate(store, manifest).model_id == verify(folder).model_id
    file = manifest.file("metrics.json")
    store.write(file.key, b'{"auc": 0.99}')
    with pytest.raises(RecordError, match=r"metrics\.json"):
        open_candidate(store, manifest)
    with pytest.raises(ModelError, match="is not a package before its release"):
        open_candidate(store, candidate("2", [name for name in names if name != SUMS]))
    with pytest.raises(ModelError, match="is missing"):
        open_candidate(store, candidate("3", [name for name in names if name != "card.json"]))
