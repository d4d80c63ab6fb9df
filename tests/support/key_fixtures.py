"""Keys and trust policies for tests."""

from types import SimpleNamespace

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mammo_core.packaging import SigningKey


def make_key(folder, name, curve=ec.SECP256R1):
    """A key pair as files: `private`, `public`, and the signing key."""
    key = ec.generate_private_key(curve())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    signing = SigningKey(private.read_bytes())
    return SimpleNamespace(
        name=name, private=private, public=public, signing=signing, id=signing.public_id()
    )


def write_policy(path, *keys, champions=None):
    """Write a trust policy; a key is a key, or a key with the other fields of its entry."""
    entries = []
    for item in keys:
        key, fields = item if isinstance(item, tuple) else (item, {})
        entries.append({"name": key.name, "public_key": key.public.read_text(), **fields})
    document = {"keys": entries, **({"champions": champions} if champions else {})}
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Two key pairs, `mine` and `other`."""
    folder = tmp_path_factory.mktemp("keys")
    return SimpleNamespace(mine=make_key(folder, "mine"), other=make_key(folder, "other"))


@pytest.fixture
def configure(monkeypatch, tmp_path):
    """Configures signing: keys that are trusted (None: no policy), and the key that signs."""

    def set_environment(trusted=None, signing=None, champions=None):
        for name, path in (
            (
                "MAMMO_TRUST",
                write_policy(tmp_path / "trust.yaml", *trusted, champions=champions)
                if trusted is not None
                else None,
            ),
            ("MAMMO_SIGNING_KEY_FILE", signing.private if signing is not None else None),
        ):
            if path is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, str(path))

    return set_environment
