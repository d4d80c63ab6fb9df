"""The record of an acceptance: a signed document by which `score` and `serve` use a model."""

import hashlib
import json
from datetime import UTC, date, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from mammo_core.acceptance.assess import Assessment
from mammo_core.acceptance.cases import CaseCounts
from mammo_core.acceptance.checks import Check
from mammo_core.acceptance.config import AcceptanceConfig
from mammo_core.acceptance.kinds import ACCEPTANCE
from mammo_core.acceptance.measures import LevelMeasures
from mammo_core.datasets.manifests import fetch_verified
from mammo_core.documents import (
    MAXIMUM_JSON_KEYS,
    DocumentError,
    read_bounded,
    require_json_limits,
)
from mammo_core.errors import ModelError
from mammo_core.packaging.signatures.keys import KEY_FILE, SigningKey
from mammo_core.packaging.signatures.trust import UNSIGNED, TrustPolicy
from mammo_core.scoring.site_rules import SiteRules
from mammo_core.store import open_store

RECORD = "record.json"
FORMAT = 1
"""Raised when records of an earlier release can no longer be read."""

_KIND = "application/vnd.mammo-pipelines.acceptance+json"
#: Bytes of a record: curves of three levels, each through some thousand knots.
_MAXIMUM_BYTES = 2**24
_AGAIN = "`mammo accept` makes a record from cases of the site."


class SiteRecord(BaseModel):
    """The acceptance of a model by a site.

    Attributes:
        format: Number of the format of records.
        accepted: Whether every check was passed.
        rules: The site, the model and the day, with calibrations, thresholds and triage.
        checks: The checks.
        config: What the site required.
        cases: What became of its cases.
        levels: What the rules do on them.
        digest: SHA-256 (hex) of all fields but the last three.
        signed_by: SHA-256 (hex) of the public key's DER bytes, or `unsigned`.
        signature: Signature of all fields but `digest` and itself (base64); empty if unsigned.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: int = FORMAT
    accepted: bool
    rules: SiteRules
    checks: tuple[Check, ...]
    config: AcceptanceConfig
    cases: CaseCounts
    levels: tuple[LevelMeasures, ...]
    digest: str = ""
    signed_by: str = UNSIGNED
    signature: str = ""

    @classmethod
    def of(
        cls,
        assessment: Assessment,
        counts: CaseCounts,
        config: AcceptanceConfig,
        key: SigningKey | None,
    ) -> "SiteRecord":
        """Return the record of an assessment, signed if there is a key."""
        record = cls(
            accepted=assessment.is_accepted,
            rules=assessment.rules,
            checks=assessment.checks,
            config=config,
            cases=counts,
            levels=tuple(level.measures for level in assessment.levels),
        )
        record = record.model_copy(update={"digest": record._content_digest()})
        if key is None:
            return record
        record = record.model_copy(update={"signed_by": key.public_id()})
        return record.model_copy(update={"signature": key.sign(_KIND, record._signed_content())})

    @property
    def name(self) -> str:
        """The record in messages."""
        return f"the acceptance of {self.rules.model_name} by {self.rules.site}"

    def to_bytes(self) -> bytes:
        """Return the record as it is stored."""
        value = self.model_dump(mode="json")
        return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()

    def require_usable(self, trust: TrustPolicy | None) -> SiteRules:
        """Return the rules of the site, if the record is whole, trusted, and one of acceptance.

        Args:
            trust: The keys whose signatures are accepted; None: signatures are not checked.

        Raises:
            ModelError: It was changed, is not signed by a trusted key, or the site did not accept
                the model.
        """
        if trust is not None:
            try:
                key = trust.require(self.signed_by, self.name)
            except ModelError as error:
                raise ModelError(
                    error.problem,
                    expected=error.expected,
                    received=error.received,
                    hint=f"{_AGAIN} It is signed with {KEY_FILE}.",
                ) from error
            if not key.has_signed_text(_KIND, self._signed_content(), self.signature):
                raise ModelError(
                    f"The signature of {self.name} is invalid",
                    expected=f"a signature by {key.name}",
                    received="one that the key did not make",
                    hint=f"Do not use it. {_AGAIN}",
                )
        if self._content_digest() != self.digest:
            raise ModelError(
                f"The record of {self.name} was changed",
                expected=f"fields with SHA-256 {self.digest[:16]}",
                received=f"SHA-256 {self._content_digest()[:16]}",
                hint=f"Do not use it. {_AGAIN}",
            )
        if not self.accepted:
            raise ModelError(
                f"The site {self.rules.site} did not accept the model {self.rules.model_name}",
                expected="a record with every check passed",
                received="; ".join(str(check) for check in self.checks if not check.passed),
            )
        return self.rules

    def _content_digest(self) -> str:
        return hashlib.sha256(self._bytes_without("digest", "signed_by", "signature")).hexdigest()

    def _signed_content(self) -> bytes:
        return self._bytes_without("digest", "signature")

    def _bytes_without(self, *names: str) -> bytes:
        value = self.model_dump(mode="json", exclude=set(names))
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def open_site_rules(uri: str) -> SiteRules:
    """Return the rules of a record, which must be trusted: see `SiteRecord.require_usable`.

    Args:
        uri: The file, or the folder of the output in a store (`…/acceptances/<id>`).

    Raises:
        ModelError: There is no such record, it is damaged, changed, or not signed by a key of
            MAMMO_TRUST; or the site did not accept the model.
        StoreError: The store fails.
    """
    return read_record(uri).require_usable(TrustPolicy.from_environment())


def read_record(uri: str) -> SiteRecord:
    """Read a record; its signature is not checked.

    Args:
        uri: As in `open_site_rules`.

    Raises:
        ModelError: There is no such record, or it cannot be read.
        StoreError: The store fails.
    """
    root, separator, id = uri.rstrip("/").rpartition(f"/{ACCEPTANCE.folder}/")
    path = Path(uri.removeprefix("file://"))
    if separator and not path.is_file():
        manifest = ACCEPTANCE.read(open_store(root), id)
        return parse_record(
            _read(fetch_verified(open_store(root), manifest.file(RECORD)), uri), uri
        )
    return parse_record(_read(path / RECORD if path.is_dir() else path, uri), uri)


def parse_record(data: bytes, name: str) -> SiteRecord:
    """Parse a record.

    Args:
        data: Its bytes.
        name: Its name in errors.

    Raises:
        ModelError: It is not a record of this release.
    """
    try:
        require_json_limits(data, max_bytes=_MAXIMUM_BYTES, max_keys=MAXIMUM_JSON_KEYS)
        return SiteRecord.model_validate_json(data)
    except DocumentError as error:
        received = error.received
    except ValidationError as error:
        first = error.errors()[0]
        received = f"{first['msg']} at {'.'.join(map(str, first['loc'])) or 'the start'}"
    raise ModelError(
        f"The record of acceptance {name} cannot be read",
        expected=f"a {RECORD} of format {FORMAT}",
        received=received,
        hint=_AGAIN,
    )


def today() -> date:
    """Return the day (UTC)."""
    return datetime.now(UTC).date()


def _read(path: Path, uri: str) -> bytes:
    try:
        return read_bounded(path, _MAXIMUM_BYTES)
    except (OSError, DocumentError) as error:
        received = error.strerror if isinstance(error, OSError) else str(error)
        raise ModelError(
            f"There is no record of acceptance at {uri}",
            expected=f"a {RECORD}, its folder, or …/{ACCEPTANCE.folder}/<id> in a store",
            received=received or type(error).__name__,
            hint=_AGAIN,
        ) from error
