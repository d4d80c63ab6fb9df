"""The trust policy: keys with names and dates, rotation, revocation, and what is no policy."""

import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from yaml import safe_dump

from mammo_core.errors import ModelError
from mammo_core.packaging import SigningKey, TrustPolicy, signing_key
from mammo_core.packaging.signatures.trust import policy_with
from tests.support.key_fixtures import make_key, write_policy


def day(offset):
    return (datetime.now(UTC) + timedelta(days=offset)).date()


def test_a_key_made_by_openssl_as_in_the_docs(tmp_path):
    private, public = tmp_path / "key.pem", tmp_path / "key.pub"
    for command in (
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", private],
        ["openssl", "ec", "-in", private, "-pubout", "-out", public],
    ):
        subprocess.run(command, check=True, capture_output=True)
    key = SigningKey.from_environment({"MAMMO_SIGNING_KEY_FILE": str(private)})
    (tmp_path / "trust.yaml").write_text(
        "keys:\n  - name: release\n    public_key: |\n"
        + "".join(f"      {line}\n" for line in public.read_text().splitlines())
    )
    policy = TrustPolicy.read(tmp_path / "trust.yaml")
    assert policy.require(key.public_id(), "a file").name == "release"


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
def test_a_signature_is_valid_for_its_kind_content_and_key_alone(tmp_path, keys, curve):
    pair = make_key(tmp_path, "any", curve)
    signature = pair.signing.sign("text/plain", b"content")
    policy = TrustPolicy.read(write_policy(tmp_path / "trust.yaml", pair, keys.other))
    key, other = policy.keys
    assert key.has_signed_text("text/plain", b"content", signature)
    assert not key.has_signed_text("text/plain", b"Content", signature)
    assert not key.has_signed_text("text/html", b"content", signature)
    assert not key.has_signed_text("text/plain", b"content", signature[:-4])
    assert not key.has_signed_text("text/plain", b"content", "%")
    assert not other.has_signed_text("text/plain", b"content", signature)


@pytest.mark.parametrize(
    ("fields", "received"),
    [
        ({}, ""),
        ({"valid_from": day(0), "valid_until": day(0)}, ""),
        ({"valid_from": day(1)}, "valid from"),
        ({"valid_until": day(-1)}, "valid until"),
        ({"revoked": day(0)}, "revoked on"),
        ({"revoked": day(-400), "valid_until": day(400)}, "revoked on"),
    ],
)
def test_dates_and_revocation(tmp_path, keys, configure, fields, received):
    configure([(keys.mine, fields), keys.other], keys.mine)
    policy = TrustPolicy.from_environment()
    if not received:
        assert policy.require(keys.mine.id, "a file").name == "mine"
        assert signing_key() == keys.mine.signing
        return
    with pytest.raises(ModelError, match=f"by mine.*{received}"):
        policy.require(keys.mine.id, "a file")
    assert policy.require(keys.other.id, "a file").name == "other"
    # Such a key signs nothing either: nobody could open it.
    with pytest.raises(ModelError, match=received):
        signing_key()


def test_a_policy_that_is_none_is_an_error_and_never_no_policy(tmp_path, keys):
    path = tmp_path / "trust.yaml"
    mine, other = (
        {"name": key.name, "public_key": key.public.read_text()} for key in vars(keys).values()
    )
    for document in (
        b"",
        b"\n# nothing\n",
        b"keys: []\n",
        b"[]",
        b"\xff\xfe",
        b"keys: [&a [*a]]",
        b"keys:\n  - {name: a, public_key: }\n",
        keys.mine.public.read_bytes(),  # a key alone
        safe_dump({"keys": [{**mine, "public_key": "-----BEGIN"}]}).encode(),
        safe_dump({"keys": [{**mine, "name": ""}]}).encode(),
        safe_dump({"keys": [{**mine, "until": day(1)}]}).encode(),
        safe_dump({"keys": [{**mine, "valid_from": day(1), "valid_until": day(0)}]}).encode(),
        safe_dump({"keys": [{**mine, "revoked": day(2)}]}).encode(),
        safe_dump({"keys": [mine, {**other, "name": "mine"}]}).encode(),
        safe_dump({"keys": [mine, {**mine, "name": "another"}]}).encode(),
        safe_dump({"keys": [mine], "unknown": 1}).encode(),
    ):
        path.write_bytes(document)
        with pytest.raises(ModelError, match="trust policy"):
            TrustPolicy.from_environment({"MAMMO_TRUST": str(path)})
    for name in (str(tmp_path / "missing.yaml"), "", str(tmp_path)):
        with pytest.raises(ModelError, match="trust policy"):
            TrustPolicy.from_environment({"MAMMO_TRUST": name})
    assert TrustPolicy.from_environment({}) is None
    with pytest.raises(ModelError, match="MAMMO_TRUST"):
        TrustPolicy.from_environment({"MAMMO_PUBLIC_KEY": "key.pub"})


def test_a_key_of_another_kind_is_refused(tmp_path):
    for command in (
        ["openssl", "genrsa", "-out", tmp_path / "rsa.pem", "1024"],
        ["openssl", "rsa", "-in", tmp_path / "rsa.pem", "-pubout", "-out", tmp_path / "rsa.pub"],
    ):
        subprocess.run(command, check=True, capture_output=True)
    curve = ec.generate_private_key(ec.SECP256K1())
    (tmp_path / "curve.pem").write_bytes(
        curve.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    for name in ("rsa.pem", "curve.pem"):
        with pytest.raises(ModelError, match="signing key cannot be used"):
            SigningKey.from_environment({"MAMMO_SIGNING_KEY_FILE": str(tmp_path / name)})
    with pytest.raises(ModelError, match=r"public key .* cannot be used"):
        policy_with(tmp_path / "rsa.pub")


def test_an_empty_or_missing_signing_key_is_an_error(tmp_path, keys):
    assert SigningKey.from_environment({}) is None
    (tmp_path / "empty").write_bytes(b"\n")
    for environment, match in (
        ({"MAMMO_SIGNING_KEY": ""}, "is empty"),
        ({"MAMMO_SIGNING_KEY_FILE": str(tmp_path / "empty")}, "is empty"),
        ({"MAMMO_SIGNING_KEY_FILE": ""}, "cannot be read"),
        ({"MAMMO_SIGNING_KEY_FILE": str(tmp_path / "none")}, "No such file"),
        ({"MAMMO_SIGNING_KEY": "not a key"}, "cannot be used"),
        ({"MAMMO_SIGNING_KEY_FILE": str(keys.mine.public)}, "cannot be used"),
    ):
        with pytest.raises(ModelError, match=match):
            SigningKey.from_environment(environment)
    pem = keys.mine.private.read_text()
    assert "BEGIN" not in repr(SigningKey.from_environment({"MAMMO_SIGNING_KEY": pem}))


def test_an_encrypted_key_needs_its_password(tmp_path, keys):
    locked = tmp_path / "locked.pem"
    command = ["openssl", "pkcs8", "-topk8", "-passout", "pass:secret-word"]
    command += ["-in", keys.mine.private, "-out", locked]
    subprocess.run(command, check=True, capture_output=True)
    environment = {"MAMMO_SIGNING_KEY": locked.read_text()}
    for password in ({}, {"MAMMO_SIGNING_KEY_PASSWORD": "another"}):
        with pytest.raises(ModelError, match="password"):
            SigningKey.from_environment({**environment, **password})
    key = SigningKey.from_environment(environment | {"MAMMO_SIGNING_KEY_PASSWORD": "secret-word"})
    assert key.public_id() == keys.mine.id and "secret-word" not in repr(key)


def test_where_a_policy_is_set_a_trusted_signing_key_is_required(keys, configure):
    configure([keys.mine])
    with pytest.raises(ModelError, match=r"Nothing can be signed.*mine"):
        signing_key()
    configure([keys.mine], keys.other)
    with pytest.raises(ModelError, match="not in the policy"):
        signing_key()
    configure(None, keys.other)
    assert signing_key() == keys.other.signing
    configure()
    assert signing_key() is None


def test_a_public_key_narrows_the_policy_and_never_widens_it(keys, configure, tmp_path):
    configure()
    assert policy_with(None) is None
    assert [key.id for key in policy_with(keys.mine.public).keys] == [keys.mine.id]
    configure([keys.mine, keys.other])
    assert [key.id for key in policy_with(keys.other.public).keys] == [keys.other.id]
    configure([(keys.mine, {"revoked": day(-1)}), keys.other])
    with pytest.raises(ModelError, match="revoked"):
        policy_with(keys.mine.public)
    configure([keys.mine])
    with pytest.raises(ModelError, match="unknown key"):
        policy_with(keys.other.public)
    empty = tmp_path / "empty.pub"
    empty.write_bytes(b"")
    for path, match in ((empty, "an empty file"), (tmp_path / "none", "cannot be read")):
        with pytest.raises(ModelError, match=match):
            policy_with(path)
