"""Patient keys: what stands for a patient of your own data once the id has been read.

A key is HMAC-SHA256 of the patient id under a site key that never leaves the site (RFC 2104):
the same patient has the same key in every table of the site, and nobody without the site key
can find the patient by trying all ids, as a plain digest would allow.
"""

import hashlib
import hmac
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Final

from mammo_core.errors import SourceError

#: The key itself, as a Secret of the cluster gives it.
ENVIRONMENT: Final = "MAMMO_SITE_KEY"
#: Or the file that holds it.
FILE_ENVIRONMENT: Final = "MAMMO_SITE_KEY_FILE"
#: Characters of a patient key: 80 bits, so that a million patients do not meet by chance.
_LENGTH: Final = 20
_SHORTEST: Final = 16
#: Pseudonyms that were published with their data set: CBIS-DDSM and INbreast.
_PUBLIC: Final = re.compile(r"P_\d{5}|[0-9a-f]{16}")


def site_key_file() -> Path:
    """Return where the site key lies: MAMMO_SITE_KEY_FILE, or below ~/.config/mammo."""
    told = os.environ.get(FILE_ENVIRONMENT)
    if told:
        return Path(told)
    configuration = os.environ.get("XDG_CONFIG_HOME")
    return (Path(configuration) if configuration else Path.home() / ".config") / "mammo/site_key"


def site_key() -> bytes:
    """Return the site key, from MAMMO_SITE_KEY or else from its file.

    Raises:
        SourceError: There is none, it is too short, or others may read the file.
    """
    told = os.environ.get(ENVIRONMENT)
    if told is not None:
        return _checked(told, ENVIRONMENT)
    path = site_key_file()
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceError(
            "There is no site key, and patient ids are not used without one",
            expected=f"{ENVIRONMENT} in the environment, or the file {path}",
            received="neither",
            hint="Make one, once for the site, with `mammo sources site-key`",
        ) from error
    if mode & 0o077:
        raise SourceError(
            f"The site key {path} can be read by others",
            expected="mode 600",
            received=f"mode {mode:o}",
            hint=f"chmod 600 {path}",
        )
    return _checked(text, str(path))


def _checked(text: str, origin: str) -> bytes:
    key = text.strip()
    if len(key) < _SHORTEST:
        raise SourceError(
            f"The site key in {origin} is too short",
            expected=f"at least {_SHORTEST} characters, drawn at random",
            received=f"{len(key)} characters",
            hint="Make one with `mammo sources site-key`",
        )
    return key.encode()


def make_site_key() -> tuple[Path, bool]:
    """Draw a site key into its file (mode 600), unless there is one.

    Returns:
        The file, and whether it was made now.
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
    """Return eight hexadecimal digits that tell site keys apart and give nothing away."""
    return hmac.new(key, b"mammo site key", hashlib.sha256).hexdigest()[:8]


def site_key_state() -> str:
    """Return the fingerprint of the site key, or `none`: patient keys change with it."""
    try:
        return fingerprint(site_key())
    except SourceError:
        return "none"


def patient_key(key: bytes, patient_id: str) -> str:
    """Return what stands for a patient: 20 hexadecimal digits of HMAC-SHA256.

    Args:
        key: The site key.
        patient_id: As the site writes it; blanks around it are not part of it.
    """
    return hmac.new(key, patient_id.strip().encode(), hashlib.sha256).hexdigest()[:_LENGTH]


def is_public(patient_id: str) -> bool:
    """Return whether a patient id has the form of a published pseudonym."""
    return _PUBLIC.fullmatch(patient_id) is not None


def holds_patient_id(path: str, patient_id: str) -> bool:
    """Return whether a path holds a patient id as a word of its own, or anywhere if long.

    Args:
        path: Any path.
        patient_id: The id to look for; letter case is ignored.
    """
    words = _words(path)
    wanted = _words(patient_id)
    if not wanted:
        return False
    if len("".join(wanted)) >= 6 and patient_id.strip().casefold() in path.casefold():
        return True
    length = len(wanted)
    return any(words[at : at + length] == wanted for at in range(len(words) - length + 1))


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", text.casefold()) if word]
