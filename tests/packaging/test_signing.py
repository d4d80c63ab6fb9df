import json
import subprocess
import sys
from pathlib import Path

import pytest

from mammo_core.errors import ModelError
from mammo_core.packaging import SigningKey, load, verify
from mammo_core.packaging.checksums import write_sums
from mammo_core.registry import push
from mammo_core.store import open_store


def key_pair(folder, name, curve="prime256v1"):
    """Made by OpenSSL, as docs/packages.md says."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    for command in (
        ["openssl", "ecparam", "-name", curve, "-genkey", "-noout", "-out", private],
        ["openssl", "ec", "-in", private, "-pubout", "-out", public],
    ):
        subprocess.run(command, check=True, capture_output=True)
    return private, public


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {name: key_pair(folder, name) for name in ("mine", "other")}


@pytest.fixture(scope="module")
def signed(tmp_path_factory, keys, make):
    folder = tmp_path_factory.mktemp("signed") / "package"
    key = SigningKey.from_environment({"MAMMO_SIGNING_KEY_FILE": str(keys["mine"][0])})
    make.build(folder, make.network(1), signing_key=key)
    return folder


@pytest.fixture
def copy(signed, tmp_path):
    folder = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(signed), str(folder)], check=True)
    return folder


def test_a_signed_package_is_verified_in_any_folder(copy, keys):
    public = keys["mine"][1]
    assert len(verify(copy, public).signed_by) == 64
    assert load(copy, public).manifest.signed_by == verify(copy).signed_by
    assert "model.sig" in (copy / "MODEL_CARD.md").read_text()
    # The tool of the package model-signing itself.
    tool = Path(sys.executable).parent / "model_signing"
    done = subprocess.run(
        [tool, "verify", "key", copy, "--signature", copy / "model.sig", "--public_key", public],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_another_key_is_refused(copy, keys):
    with pytest.raises(ModelError, match="signature of the model package copy is invalid"):
        verify(copy, keys["other"][1])


def test_an_unsigned_package_says_so_and_is_refused_if_a_key_is_required(built, keys):
    assert verify(built[0]).signed_by == "unsigned"
    assert "Signature: unsigned" in (built[0] / "MODEL_CARD.md").read_text()
    assert json.loads((built[0] / "card.json").read_text())["signed_by"] == "unsigned"
    with pytest.raises(ModelError, match="is unsigned"):
        verify(built[0], keys["mine"][1])


def test_a_changed_file_is_detected_even_with_new_sums(copy, keys):
    (copy / "metrics.json").write_text('{"auc": 0.99}')
    write_sums(copy)
    verify(copy)
    with pytest.raises(ModelError, match=r"metrics\.json"):
        verify(copy, keys["mine"][1])
    (copy / "extra.json").write_text("{}")
    write_sums(copy)
    with pytest.raises(ModelError, match="is invalid"):
        verify(copy, keys["mine"][1])


def test_a_stripped_or_damaged_signature_is_refused(copy, keys):
    for change in (
        lambda path: path.write_bytes(b"{}"),
        lambda path: path.write_bytes(b"\xff\x00"),
        lambda path: path.unlink(),
    ):
        change(copy / "model.sig")
        write_sums(copy)
        with pytest.raises(ModelError, match=r"is invalid|is unsigned"):
            verify(copy, keys["mine"][1])


def test_push_requires_the_signature_of_the_given_key(copy, keys, tmp_path):
    store = open_store(f"file://{tmp_path}/store")
    with pytest.raises(ModelError, match="is invalid"):
        push(store, copy, "m", public_key=keys["other"][1])
    assert list(store.list("")) == []
    assert push(store, copy, "m", public_key=keys["mine"][1]).version == 1


def test_invalid_keys_are_an_error(tmp_path, keys, copy, make):
    assert SigningKey.from_environment({}) is None
    with pytest.raises(ModelError, match="No such file"):
        SigningKey.from_environment({"MAMMO_SIGNING_KEY_FILE": str(tmp_path / "none")})
    bad = SigningKey.from_environment({"MAMMO_SIGNING_KEY": "not a key"})
    with pytest.raises(ModelError, match="signing key cannot be used"):
        make.build(tmp_path / "new", make.network(1), signing_key=bad)
    assert not (tmp_path / "new").exists()
    with pytest.raises(ModelError, match="public key"):
        verify(copy, keys["mine"][0].parent / "none.pub")
    with pytest.raises(ModelError, match="cannot be used"):
        verify(copy, copy / "card.json")
    pem = keys["mine"][0].read_text()
    assert "BEGIN" not in repr(SigningKey.from_environment({"MAMMO_SIGNING_KEY": pem}))


def test_an_encrypted_key_from_the_environment(tmp_path, keys, make):
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-passout", "pass:secret-word"]  # noqa: RUF005
        + ["-in", keys["mine"][0], "-out", locked],
        check=True,
        capture_output=True,
    )
    environment = {"MAMMO_SIGNING_KEY": locked.read_text()}
    with pytest.raises(ModelError, match="password"):
        SigningKey.from_environment(environment).public_id()
    key = SigningKey.from_environment(environment | {"MAMMO_SIGNING_KEY_PASSWORD": "secret-word"})
    make.build(tmp_path / "new", make.network(1), signing_key=key)
    verify(tmp_path / "new", keys["mine"][1])
