"""The audit of a model: a whole chain is whole, and each object with another byte is named.

The chain is written by the code that writes it in a run, around small outputs; the one of a real
run is in tests/e2e/test_chain.py.
"""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from mammo_core.cli.models import app
from mammo_core.datasets import publish
from mammo_core.datasets.compaction import compact
from mammo_core.datasets.manifests import put_bytes
from mammo_core.datasets.tables import put_table
from mammo_core.duel.kinds import DUEL, Contestant, DuelFacts
from mammo_core.errors import ModelError
from mammo_core.evaluation.kinds import EVALUATION, EvaluationFacts, EvaluationSummary
from mammo_core.features.kinds import FRAME, FrameFacts
from mammo_core.packaging.candidate import put_package
from mammo_core.packaging.chain import CHAIN, chain_of, link_of
from mammo_core.packaging.contents import read_json
from mammo_core.packaging.kinds import CANDIDATE, CandidateFacts
from mammo_core.packaging.signatures.checksums import write_sums
from mammo_core.registry import promote, push, rollback
from mammo_core.registry.audit.audit import audit
from mammo_core.registry.audit.rewrites import note_rewrite
from mammo_core.registry.change_plan.plan import ChangePlan
from mammo_core.registry.kinds import GATE, GateFacts
from mammo_core.registry.references import referred_ids
from mammo_core.registry.release_decision import ReleaseDecision
from mammo_core.runs.forget import forget
from mammo_core.sources.kinds import TABLES, TableFacts

SUMMARY = EvaluationSummary(
    patch_accuracy=0.5,
    auc=0.5,
    auc_ci95=(0.0, 1.0),
    n_test_images=1,
    n_test_views=1,
    n_test_patients=1,
    n_test_patches=1,
)
PLAN = ChangePlan(name="spring", model="m")


def put(store, kind, id, facts, files, **lineage):
    manifest = kind.manifest(id, config={}, facts=facts, lineage=lineage)
    stored = tuple(write(store, manifest.folder) for write in files)
    return publish(store, manifest.model_copy(update={"files": stored}))


def table(name, rows):
    frame = pd.DataFrame(rows, columns=["image_id", "patient_key", "source", "split"])
    return lambda store, folder: put_table(store, folder, name, frame)


def text(name, value):
    return lambda store, folder: put_bytes(store, folder, name, value)


def release(store, folder, letter, champion="", plan=PLAN):
    """Publish the outputs of a run and push its model; return the version."""
    rows = [(f"{letter}{n}" * 8, f"P{n}", "cbis_ddsm", "train") for n in range(3)]
    tables = put(store, TABLES, letter * 32, TableFacts(), [table("images.parquet", rows)])
    frame = put(
        store,
        FRAME,
        letter * 32,
        FrameFacts(mean=1.0, rescale_factor=1.0, shuffled_labels=False),
        [table("images.parquet", rows)],
        tables=tables.id,
    )
    evaluation = put(
        store,
        EVALUATION,
        letter * 32,
        EvaluationFacts(summary=SUMMARY, shuffled_labels=False),
        [text("metrics.json", b"{}"), text("report.html", b"<p>report</p>")],
        frame=frame.id,
    )
    (folder / CHAIN).write_text(chain_of(store, [evaluation]).model_dump_json())
    write_sums(folder)
    model_id = read_json(folder, "package.json")["model_id"]
    candidate = publish(
        store,
        CANDIDATE.manifest(
            letter * 32,
            config={},
            facts=CandidateFacts(model_id=model_id, name="m", unit="image"),
            files=put_package(store, f"candidates/{letter * 32}/1", folder),
            lineage={"evaluation": evaluation.id},
        ),
    )
    challenger = Contestant(name="the challenger", model_id=model_id)
    facts = DuelFacts(state="no champion", challenger=challenger)
    duel = put(store, DUEL, letter * 32, facts, [], candidate=candidate.id)
    decision = put(
        store,
        GATE,
        letter * 32,
        GateFacts(passed=True, decision="push", reasons=("good",)),
        [text("gate.json", b"{}")],
        duel=duel.id,
    )
    released = ReleaseDecision(
        model_id=model_id,
        champion=champion,
        decision="push",
        reasons=("good",),
        gate={"min_auc": 0.5},
        plan=plan,
        links=tuple(link_of(store, each) for each in (candidate, duel, decision)),
    )
    return push(store, folder, "m", decision=released).version


@pytest.fixture
def chain(file_store, light_package, configure, keys):
    """Two released versions, of which the second was rolled back and promoted, all signed."""
    configure(trusted=[keys.mine], signing=keys.mine)
    for letter in "ab":
        release(file_store, light_package(letter), letter)
    rollback(file_store, "m")
    promote(file_store, "m", 2)
    return file_store


def objects(store):
    """The objects of the chain: all but leases, claims and notes that find things quickly."""
    others = (".", "models/m/claims/", "models/m/released/")
    return [key for key in store.list("") if not key.startswith(others)]


def flip(store, key):
    """Change a byte in the middle of an object; return what it was."""
    data = store.read(key)
    at = len(data) // 2
    store.write(key, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    return data


def faults(store):
    return {fault.key for fault in audit(store, "m", quiet=True).faults}


def test_a_whole_chain_is_whole_and_shows_its_history(chain):
    result = audit(chain, "m", quiet=True)
    assert result.faults == ()
    assert result.objects == len(objects(chain))
    actions = [(entry.action, entry.version) for entry in result.entries]
    expected = [("begin", None), ("push", 1), ("push", 2), ("rollback", 1), ("promote", 2)]
    assert actions == expected
    assert {entry.signed_by for entry in result.entries} == {"mine"}
    first, second = result.versions
    assert first.plan == second.plan == f"spring ({PLAN.digest[:12]})"
    assert (first.decision, first.reasons, first.outputs) == ("push", ("good",), 6)
    lines = "\n".join(result.lines())
    assert "signatures verified: the chain is whole" in lines
    assert "rollback  version 1       signed by mine" in lines


def test_one_byte_in_any_object_is_named(chain):
    keys = objects(chain)
    assert len(keys) > 50
    missed = []
    for key in keys:
        data = flip(chain, key)
        if key not in faults(chain):
            missed.append(key)
        chain.write(key, data)
    assert missed == []
    assert faults(chain) == set()


def test_any_object_that_is_missing_is_named(chain):
    missed = []
    for key in objects(chain):
        data = chain.read(key)
        chain.delete(key)
        named = faults(chain)
        # A version without its marker was never published: the entries that name it are.
        is_marker = key.startswith("models/m/published/")
        if key not in named and not (is_marker and named) and not _may_be_gone(key):
            missed.append(key)
        chain.write(key, data)
    assert missed == []


def _may_be_gone(key):
    """A candidate's files are those of the version, so garbage collection may remove it; the entry
    in force is in the log only once its mover has written it there."""
    is_candidate = key.startswith("candidates/") and key.endswith("manifest.json")
    return is_candidate or key == "models/m/champions/5.json"


def test_without_a_policy_one_byte_is_named_too(chain, configure):
    configure()
    missed = []
    for key in objects(chain):
        data = flip(chain, key)
        # The signature itself is covered by the list of files.
        if key not in faults(chain):
            missed.append(key)
        chain.write(key, data)
    assert missed == []
    assert not audit(chain, "m", quiet=True).trust


def test_a_forgotten_patient_is_accepted_by_her_tombstone(chain, keys):
    result = forget(chain, "P1", keys.mine.signing)
    audited = audit(chain, "m", quiet=True)
    assert audited.faults == ()
    notes = [note for version in audited.versions for note in version.notes]
    assert any(f"a patient was removed (tombstone {result.tombstone})" in note for note in notes)
    rewrites = list(chain.list("rewrites/"))
    assert len(rewrites) >= 4  # tables and frame of both versions
    for key in (*rewrites, result.tombstone):
        data = flip(chain, key)
        assert key in faults(chain)
        chain.write(key, data)
    chain.delete(result.tombstone)
    assert result.tombstone in faults(chain)


def test_a_second_patient_and_a_compaction_are_accepted_after_the_first(chain, keys):
    for patient in ("P1", "P2"):
        forget(chain, patient, keys.mine.signing)
    frame = FRAME.read(chain, "a" * 32)
    before = chain.read(frame.key)
    after = frame.model_copy(update={"counts": {"images": 1}}).to_json().encode()
    note_rewrite(chain, frame.folder, before, after, keys.mine.signing)
    chain.write(frame.key, after)
    assert faults(chain) == set()
    chain.write(frame.key, after + b" ")  # nothing explains this one
    assert faults(chain) == {frame.key}


def test_a_rewrite_by_an_unknown_key_is_not_accepted(chain, keys):
    forget(chain, "P1", keys.other.signing)
    named = faults(chain)
    assert named and all(key.startswith("rewrites/") for key in named)


def test_a_compaction_says_what_it_replaces(file_store):
    """What `mammo store gc --compact` passes to `compact` writes the note."""
    calls = []
    frame = put(
        file_store,
        FRAME,
        "c" * 32,
        FrameFacts(mean=1.0, rescale_factor=1.0, shuffled_labels=False),
        [table("images.parquet", [])],
    )
    assert compact(file_store, frame, lambda *each: calls.append(each)) == frame
    assert calls == []  # nothing to compact, nothing replaced


def test_garbage_collection_keeps_what_a_release_was_decided_by(chain):
    ids = referred_ids(chain)
    assert {"a" * 32, "b" * 32} <= ids


def test_a_version_that_was_pushed_by_hand_says_so(file_store, light_package):
    push(file_store, light_package("a"), "m")
    result = audit(file_store, "m", quiet=True)
    assert result.faults == ()
    (version,) = result.versions
    assert version.decision == "by hand, without a gate" and version.signed_by == "unsigned"
    assert "chain.json" in version.notes[0]


def test_the_command_ends_with_an_error_and_names_the_object(chain):
    line = ["audit", "m", "--store", chain.uri]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0 and "the chain is whole" in done.output
    key = f"{EVALUATION.output('a' * 32)}/metrics.json"
    flip(chain, key)
    done = CliRunner().invoke(app, [*line, "--json"])
    assert done.exit_code == 1
    assert [fault["key"] for fault in json.loads(done.output)["faults"]] == [key]


def test_a_model_that_is_not_there(file_store):
    with pytest.raises(ModelError, match="no model m"):
        audit(file_store, "m")
