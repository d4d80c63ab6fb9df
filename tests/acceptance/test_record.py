"""Records: whole, signed, of this model; anything else is refused in three parts."""

import json
from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from mammo_core.acceptance.record import RECORD, SiteRecord, open_site_rules, parse_record, today
from mammo_core.errors import ModelError
from mammo_core.packaging import TrustPolicy
from tests.acceptance.simulated import QUICK, assessed, count, draw


@pytest.fixture(scope="module")
def site():
    """The assessment of a site that accepts the model, and its counts."""
    table = draw(np.random.default_rng(0), 60, 120)
    return SimpleNamespace(result=assessed(table), counts=count(table))


def record_of(site, key=None, result=None):
    return SiteRecord.of(result or site.result, site.counts, QUICK, key)


def write(folder, record, change=None):
    """Write a record; `change` edits its document."""
    folder.mkdir(exist_ok=True)
    document = json.loads(record.to_bytes())
    if change is not None:
        change(document)
    (folder / RECORD).write_text(json.dumps(document))
    return folder


def test_a_record_is_read_as_it_was_written(site, tmp_path, configure):
    configure()
    record = record_of(site)
    assert parse_record(record.to_bytes(), "here") == record
    assert parse_record(record.to_bytes(), "here").to_bytes() == record.to_bytes()
    folder = write(tmp_path / "site", record)
    for uri in (folder, folder / RECORD, (folder / RECORD).as_uri()):
        assert open_site_rules(str(uri)) == site.result.rules
    rules = record.rules
    assert (rules.site, rules.model_name, rules.model_version) == ("Site", "simulated", 1)
    assert rules.accepted_on == date(2026, 11, 30)
    assert rules.group("patient", 0.0) == "low" and rules.group("patient", 1.0) == "high"


def _other_threshold(document):
    document["rules"]["rules"]["patient"]["operating_points"][0]["threshold"] = 0.9


def _other_limit(document):
    document["rules"]["triage"]["patient"]["low"] = 0.9


def _accepted(document):
    document["accepted"] = True


@pytest.mark.parametrize("change", [_other_threshold, _other_limit])
def test_a_changed_record_is_refused_signed_or_not(site, tmp_path, keys, configure, change):
    configure()
    with pytest.raises(ModelError, match="was changed"):
        open_site_rules(str(write(tmp_path / "site", record_of(site), change)))
    configure(trusted=[keys.mine])
    signed = record_of(site, keys.mine.signing)
    assert open_site_rules(str(write(tmp_path / "signed", signed))) == site.result.rules
    with pytest.raises(ModelError, match=r"signature of the acceptance of simulated by Site"):
        open_site_rules(str(write(tmp_path / "signed", signed, change)))

    def with_digest(document):
        """Whoever changes a record can compute its digest, but not the signature."""
        change(document)
        changed = parse_record(json.dumps(document).encode(), "")
        document["digest"] = changed._content_digest()

    with pytest.raises(ModelError, match="signature"):
        open_site_rules(str(write(tmp_path / "signed", signed, with_digest)))


def test_a_refusal_cannot_be_turned_into_an_acceptance(site, tmp_path, configure):
    configure()
    refused = assessed(draw(np.random.default_rng(1), 60, 120, swapped=1.0))
    record = record_of(site, result=refused)
    assert not record.accepted
    with pytest.raises(ModelError) as error:
        open_site_rules(str(write(tmp_path / "site", record)))
    assert error.value.problem == "The site Site did not accept the model simulated"
    assert "labels swapped" in error.value.received
    with pytest.raises(ModelError, match="was changed"):
        open_site_rules(str(write(tmp_path / "site", record, _accepted)))


@pytest.mark.parametrize(
    ("fields", "received"),
    [
        ({"revoked": str(today())}, "revoked on"),
        ({"valid_until": str(today() - timedelta(days=1))}, "valid until"),
        ({"valid_from": str(today() + timedelta(days=2))}, "valid from"),
    ],
)
def test_a_key_that_is_not_valid_today_is_refused(
    site, tmp_path, keys, configure, fields, received
):
    folder = write(tmp_path / "site", record_of(site, keys.mine.signing))
    configure(trusted=[(keys.mine, fields), keys.other])
    with pytest.raises(ModelError) as error:
        open_site_rules(str(folder))
    assert received in error.value.received and keys.mine.name in error.value.received
    assert "mammo accept" in error.value.hint and "models push" not in error.value.hint


def test_an_unsigned_record_and_one_of_an_unknown_key_are_refused(site, tmp_path, keys, configure):
    configure(trusted=[keys.mine])
    with pytest.raises(ModelError, match="is unsigned"):
        open_site_rules(str(write(tmp_path / "site", record_of(site))))
    with pytest.raises(ModelError, match="unknown key"):
        open_site_rules(str(write(tmp_path / "site", record_of(site, keys.other.signing))))

    def claimed(document):
        document["signed_by"] = keys.mine.id

    with pytest.raises(ModelError, match="one that the key did not make"):
        open_site_rules(str(write(tmp_path / "site", record_of(site, keys.other.signing), claimed)))


def test_a_signature_of_another_kind_is_not_one_of_a_record(site, keys, tmp_path, configure):
    configure(trusted=[keys.mine])
    record = record_of(site, keys.mine.signing)
    other = keys.mine.signing.sign("application/json", record._signed_content())
    record = record.model_copy(update={"signature": other})
    with pytest.raises(ModelError, match="is invalid"):
        record.require_usable(TrustPolicy.from_environment())


@pytest.mark.parametrize(
    ("data", "received"),
    [
        (b"", "Invalid JSON"),
        (b"[" * 100_000, "recursion|Invalid|values"),
        (b'{"accepted": true}', "Field required"),
        (b'{"further": 1}', "required|Extra"),
    ],
)
def test_what_is_no_record_is_refused(data, received):
    with pytest.raises(ModelError, match=received) as error:
        parse_record(data, "there")
    assert "there" in error.value.problem and "mammo accept" in error.value.hint


def test_a_missing_record_is_named(tmp_path):
    with pytest.raises(ModelError, match="There is no record of acceptance") as error:
        open_site_rules(str(tmp_path / "none"))
    assert str(tmp_path / "none") in error.value.problem
