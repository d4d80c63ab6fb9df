"""Patient keys and exam keys: pseudonyms of the patients and exams of your own data.

A key is HMAC-SHA256 of the patient id under a site key that never leaves the site (RFC 2104):
the same patient has the same key in every table of the site, and nobody without the site key
can find the patient by trying all ids, as would be possible with a plain digest.
"""

import hashlib
import hmac
import os
import re
import secrets
import stat
import unicodedata
from pathlib import Path
from typing import Final

from mammo_core.errors import SourceError
from mammo_core.sources.adapter import registered_adapters

#: The key itself, from a Secret of the cluster.
ENVIRONMENT: Final = "MAMMO_SITE_KEY"
#: Or the file that contains it.
FILE_ENVIRONMENT: Final = "MAMMO_SITE_KEY_FILE"
#: Characters of a patient key: 80 bits, so that keys of a million patients do not collide.
_LENGTH: Final = 20
_SHORTEST: Final = 16
#: Characters of the id of a file under the site key; a plain digest has 64.
CONTENT_LENGTH: Final = 40


def site_key_file() -> Path:
    """Return the file of the site key: MAMMO_SITE_KEY_FILE, or below ~/.config/mammo."""
    file = os.environ.get(FILE_ENVIRONMENT)
    if file:
        return Path(file)
    configuration = os.environ.get("XDG_CONFIG_HOME")
    return (Path(configuration) if configuration else Path.home() / ".config") / "mammo/site_key"


def site_key() -> bytes:
    """Return the site key, from MAMMO_SITE_KEY or else from its file.

    Raises:
        SourceError: There is none, it is too short, or others can read the file.
    """
    value = os.environ.get(ENVIRONMENT)
    if value is not None:
        return _require_long(value, ENVIRONMENT)
    path = site_key_file()
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceError(
            "There is no site key, and patient keys cannot be computed without one",
            expected=f"{ENVIRONMENT} in the environment, or the file {path}",
            received="neither",
            hint="Create one, once for the site, with `mammo sources site-key`",
        ) from error
    if mode & 0o077:
        raise SourceError(
            f"The site key {path} is readable by others",
            expected="mode 600",
            received=f"mode {mode:o}",
            hint=f"chmod 600 {path}",
        )
    return _require_long(text, str(path))


def _require_long(text: str, origin: str) -> bytes:
    key = text.strip()
    if len(key) < _SHORTEST:
        raise SourceError(
            f"The site key in {origin} is too short",
            expected=f"at least {_SHORTEST} characters, drawn at random",
            received=f"{len(key)} characters",
            hint="Create one with `mammo sources site-key`",
        )
    return key.encode()


def create_site_key() -> tuple[Path, bool]:
    """Write a random site key to its file (mode 600), unless there is one.

    Returns:
        The file, and whether it was created now.
    """
    path = site_key_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path, False
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(secrets.token_hex(32) + "\n")
    return path, True


def fingerprint(key: bytes) -> str:
    """Return eight hexadecimal digits that identify a site key without revealing it."""
    return hmac.new(key, b"mammo site key", hashlib.sha256).hexdigest()[:8]


def site_key_state() -> str:
    """Return the fingerprint of the site key, or `none`: patient keys change with it."""
    try:
        return fingerprint(site_key())
    except SourceError:
        return "none"


def normalize_id(text: str) -> str:
    """Return an id as ids are compared: Unicode NFC, without blanks around it.

    Args:
        text: Id of a patient or exam, as a table, a file name or a header writes it.
    """
    return unicodedata.normalize("NFC", text).strip()


def similar_id(text: str) -> str:
    """Return what near-equal ids have in common: neither case nor padding zeros count.

    Args:
        text: Id of a patient.
    """
    folded = unicodedata.normalize("NFKC", text).strip().casefold()
    return re.sub(r"(?<!\d)0+(?=\d)", "", folded)


def patient_key(key: bytes, patient_id: str) -> str:
    """Return the key of a patient: 20 hexadecimal digits of HMAC-SHA256.

    Args:
        key: The site key.
        patient_id: As the site writes it; it is normalized (`normalize_id`).
    """
    return _keyed(key, normalize_id(patient_id))


def exam_key(key: bytes, patient_id: str, exam_id: str) -> str:
    """Return the key of an exam that a site numbers within the patient.

    Args:
        key: The site key.
        patient_id: As the site writes it.
        exam_id: As the site writes it.
    """
    return _keyed(key, f"exam\0{normalize_id(patient_id)}\0{normalize_id(exam_id)}")


def study_key(key: bytes, study_uid: str) -> str:
    """Return the key of the exam of a DICOM study.

    Args:
        key: The site key.
        study_uid: Study Instance UID (0020,000D), which is unique in the world.
    """
    return _keyed(key, f"study\0{normalize_id(study_uid)}")


def content_key(key: bytes, digest: str) -> str:
    """Return the id of a file under the site key: 40 hexadecimal digits of HMAC-SHA256.

    Whoever holds a copy of the file cannot find its image by it, as with a plain digest.

    Args:
        key: The site key.
        digest: SHA-256 of the file, hexadecimal.
    """
    return hmac.new(key, f"file\0{digest}".encode(), hashlib.sha256).hexdigest()[:CONTENT_LENGTH]


def _keyed(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:_LENGTH]


def is_public(patient_id: str) -> bool:
    """Return whether a patient id has the form of a pseudonym published with a collection."""
    return bool(publisher_of(patient_id))


def publisher_of(patient_id: str) -> str:
    """Return the adapter of the collection that published a pseudonym; empty for other ids.

    Args:
        patient_id: A patient id or patient key.
    """
    for adapter in registered_adapters().values():
        if adapter.pseudonyms and re.fullmatch(adapter.pseudonyms, patient_id):
            return adapter.name
    return ""


def contains_patient_id(path: str, patient_id: str) -> bool:
    """Return whether a path contains a patient id as a word, or anywhere if it is long.

    Args:
        path: Any path.
        patient_id: The id to look for; letter case is ignored.
    """
    path_words = _words(path)
    id_words = _words(patient_id)
    if not id_words:
        return False
    if len("".join(id_words)) >= 6 and patient_id.strip().casefold() in path.casefold():
        return True
    length = len(id_words)
    return any(
        path_words[at : at + length] == id_words for at in range(len(path_words) - length + 1)
    )


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", text.casefold()) if word]
