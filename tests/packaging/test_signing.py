"""Signatures of packages: what they cover, and that sigstore's own tool accepts them."""

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mammo_core.errors import ModelError
from mammo_core.packaging import TrustPolicy, verify
from mammo_core.packaging.release import released
from mammo_core.packaging.signatures.checksums import write_sums
from mammo_core.packaging.signatures.trust import policy_with
from mammo_core.registry import open_package
from tests.support.key_fixtures import write_policy
from tests.support.package_fixtures import build_light_package


@pytest.fixture(scope="module")
def signed(tmp_path_factory, keys):
    folder = tmp_path_factory.mktemp("signed")
    package = verify(build_light_package(folder / "package", "signed"))
    with released(package, "m", 3, keys.mine.signing) as release:
        return shutil.copytree(release, folder / "signed")


@pytest.fixture
def copy(signed, tmp_path):
    return Path(shutil.copytree(signed, tmp_path / "copy"))


@pytest.fixture
def trust(keys, tmp_path):
    return TrustPolicy.read(write_policy(tmp_path / "trust.yaml", keys.mine))


def test_a_signed_package_is_verified_in_any_folder_and_by_the_tool_of_sigstore(copy, keys, trust):
    opened = verify(copy, trust)
    assert (opened.name, opened.version, opened.key.name) == ("m", 3, "mine")
    assert opened.signed_by == keys.mine.id
    # The tool of the package model-signing itself.
    tool = Path(sys.executable).parent / "model_signing"
    command = [tool, "verify", "key", copy, "--signature", copy / "model.sig"]
    done = subprocess.run(
        [*command, "--public_key", keys.mine.public], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_relative_paths_of_package_and_key(copy, keys, monkeypatch, tmp_path, light_package):
    """A package that was signed under a relative path did not verify under another one."""
    monkeypatch.chdir(tmp_path)
    for folder in (Path("copy"), Path("../") / tmp_path.name / "copy", copy):
        for key in (os.path.relpath(keys.mine.public), keys.mine.public):
            assert verify(folder, policy_with(Path(key))).version == 3
            assert open_package(str(folder), Path(key)).version == 3
    source = Path(os.path.relpath(light_package("relative")))
    with released(verify(source), "m", 1, keys.mine.signing) as release:
        monkeypatch.chdir(release.parent)
        assert verify(Path(release.name), policy_with(keys.mine.public)).version == 1


def test_another_key_is_refused(copy, keys, tmp_path):
    other = TrustPolicy.read(write_policy(tmp_path / "other.yaml", keys.other))
    with pytest.raises(ModelError, match="signature of the model package copy is invalid"):
        verify(copy, other)
    both = TrustPolicy.read(write_policy(tmp_path / "both.yaml", keys.other, keys.mine))
    assert verify(copy, both).key.name == "mine"


def test_an_unsigned_package_is_refused_if_a_key_is_required(light_package, trust):
    folder = light_package("unsigned")
    assert verify(folder).signed_by == "unsigned" and verify(folder).release is None
    with pytest.raises(ModelError, match="is unsigned"):
        verify(folder, trust)
    with released(verify(folder), "m", 1, None) as release:
        assert (verify(release).signed_by, verify(release).version) == ("unsigned", 1)
        with pytest.raises(ModelError, match="is unsigned"):
            verify(release, trust)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda p: (p / "metrics.json").write_text('{"auc": 0.99}'), r"metrics\.json was changed"),
        (lambda p: (p / "extra.json").write_text("{}"), r"extra\.json was added"),
        (lambda p: (p / "lineage.json").unlink(), r"lineage\.json was removed"),
        (
            lambda p: (p / "release.json").write_text(
                (p / "release.json").read_text().replace("3", "4", 1)
            ),
            r"release\.json was changed",
        ),
        (lambda p: (p / "release.json").unlink(), r"release\.json was removed"),
        (lambda p: (p / "model.sig").unlink(), "is unsigned"),
        (lambda p: (p / "model.sig").write_bytes(b"{}"), "is invalid"),
        (lambda p: (p / "model.sig").write_bytes(b"\xff\x00"), "is invalid"),
        (lambda p: (p / "model.sig").write_bytes(b"[" * 100_000), "is invalid"),
        (lambda p: (p / "model.sig").write_bytes(b" " * (2**20 + 1)), "is invalid"),
    ],
)
def test_a_change_after_signing_is_detected_even_with_new_sums(copy, trust, change, match):
    change(copy)
    write_sums(copy)
    with pytest.raises(ModelError, match=match):
        verify(copy, trust)


def _change_payload(bundle, change):
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    change(statement)
    data = json.dumps(statement).encode()
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(data).decode()
    return data


def _resign(bundle, data, key):
    signature = key.sign("application/vnd.in-toto+json", data)
    bundle["dsseEnvelope"]["signatures"] = [{"sig": signature, "keyid": ""}]


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["predicate"]["serialization"].update(ignore_paths=["metrics.json"]),
        lambda s: s["predicate"]["serialization"].update(method="shards"),
        lambda s: s["predicate"]["resources"].append(s["predicate"]["resources"][0]),
        lambda s: s["subject"].append(s["subject"][0]),
        lambda s: s["subject"][0]["digest"].update(sha256="0" * 64),
        lambda s: s.update(predicateType="https://model_signing/Digests/v0.1"),
        lambda s: s.update(predicate=[]),
        lambda s: s.pop("_type"),
    ],
)
def test_a_statement_of_another_form_is_refused_although_its_key_is_trusted(
    copy, keys, trust, change
):
    path = copy / "model.sig"
    bundle = json.loads(path.read_text())
    data = _change_payload(bundle, change)
    _resign(bundle, data, keys.mine.signing)
    path.write_text(json.dumps(bundle))
    write_sums(copy)
    with pytest.raises(ModelError, match="is invalid"):
        verify(copy, trust)


def test_a_signature_that_names_a_trusted_key_must_be_made_by_it(copy, keys, trust):
    path = copy / "model.sig"
    bundle = json.loads(path.read_text())
    data = _change_payload(bundle, lambda statement: None)
    _resign(bundle, data, keys.other.signing)
    path.write_text(json.dumps(bundle))
    write_sums(copy)
    with pytest.raises(ModelError, match="one that the key did not make"):
        verify(copy, trust)
    _resign(bundle, data, keys.mine.signing)  # the same files, signed by the right key
    path.write_text(json.dumps(bundle))
    write_sums(copy)
    assert verify(copy, trust).key.name == "mine"


def test_what_is_signed_is_what_was_verified(light_package, keys):
    folder = light_package("verified")
    opened = verify(folder)
    (folder / "metrics.json").write_text('{"auc": 0.99}')
    changed = pytest.raises(ModelError, match=r"changed while it was released.*metrics\.json")
    with changed, released(opened, "m", 1, keys.mine.signing):
        pytest.fail("released")


def test_a_package_that_is_replaced_while_in_use_is_not_loaded(copy, light_package, keys, trust):
    opened = verify(copy, trust)
    with released(verify(light_package("other")), "m", 3, keys.mine.signing) as release:
        shutil.rmtree(copy)
        shutil.copytree(release, copy)
    with pytest.raises(ModelError, match="was replaced while it was in use"):
        opened.load()
