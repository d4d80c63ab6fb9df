"""Site keys and patient keys."""

import hashlib
import hmac
import stat

import pytest
from typer.testing import CliRunner

from mammo_core.cli.sources import app
from mammo_core.errors import SourceError
from mammo_core.sources.identity.patients import (
    contains_patient_id,
    create_site_key,
    fingerprint,
    is_public,
    patient_key,
    site_key,
    site_key_state,
)

KEY = "0123456789abcdef"


@pytest.fixture(autouse=True)
def _no_site_key(monkeypatch, tmp_path):
    monkeypatch.delenv("MAMMO_SITE_KEY", raising=False)
    monkeypatch.delenv("MAMMO_SITE_KEY_FILE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_a_key_is_hmac_sha256():
    # RFC 4231, test case 2: HMAC-SHA256 of this text under the key "Jefe".
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert patient_key(b"Jefe", "what do ya want for nothing?") == expected[:20]
    assert patient_key(b"Jefe", " 17 ") == patient_key(b"Jefe", "17")
    assert patient_key(b"Jefe", "017") != patient_key(b"Jefe", "17")


def test_the_environment_takes_precedence_over_the_file(monkeypatch, tmp_path):
    path, created = create_site_key()
    assert created and path == tmp_path / "config/mammo/site_key"
    assert site_key() == path.read_text().strip().encode()
    monkeypatch.setenv("MAMMO_SITE_KEY", KEY + "\n")
    assert site_key() == KEY.encode()
    expected = hmac.new(KEY.encode(), b"mammo site key", hashlib.sha256).hexdigest()[:8]
    assert site_key_state() == fingerprint(site_key()) == expected


def test_the_file_is_created_once_and_readable_by_its_owner_only(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMO_SITE_KEY_FILE", str(tmp_path / "deep" / "key"))
    path, _ = create_site_key()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_bytes()
    assert create_site_key() == (path, False)
    assert path.read_bytes() == content and len(content.strip()) == 64


def test_no_key_is_created_silently(monkeypatch):
    with pytest.raises(SourceError, match="mammo sources site-key"):
        site_key()
    assert site_key_state() == "none"
    monkeypatch.setenv("MAMMO_SITE_KEY", "short")
    with pytest.raises(SourceError, match="too short"):
        site_key()


def test_a_file_that_others_can_read_is_refused():
    path, _ = create_site_key()
    path.chmod(0o644)
    with pytest.raises(SourceError, match="chmod 600"):
        site_key()


def test_the_command_prints_the_fingerprint_and_never_the_key():
    first = CliRunner().invoke(app, ["site-key"]).stdout
    again = CliRunner().invoke(app, ["site-key"]).stdout
    assert first.startswith("created ") and again.startswith("kept ")
    assert site_key().decode() not in first + again
    assert fingerprint(site_key()) in first


@pytest.mark.parametrize(
    ("path", "patient", "contained"),
    [
        ("a/17/left.png", "17", True),
        ("a/2017/left.png", "17", False),
        ("17_L_CC.dcm", "17", True),
        ("x/AB-12.dcm", "ab_12", True),
        ("x/ab/34/12.dcm", "ab-12", False),
        ("scanMRN123456left.dcm", "mrn123456", True),
        ("images/0001.dcm", "17", False),
    ],
)
def test_patient_ids_in_paths(path, patient, contained):
    assert contains_patient_id(path, patient) is contained


@pytest.mark.parametrize(
    ("patient", "public"),
    [("P_00001", True), ("6c613a14b80a8591", True), ("P_1", False), ("12345678", False)],
)
def test_public_pseudonyms(patient, public):
    assert is_public(patient) is public
