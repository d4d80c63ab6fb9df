"""What an audit finds."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Fault(BaseModel):
    """An object of a chain that is not what it was when the chain was made.

    Attributes:
        key: Its key in the store.
        problem: What is wrong with it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    problem: str


class AuditedEntry(BaseModel):
    """A change of the champion.

    Attributes:
        sequence: Its number.
        action: What changed it.
        version: The champion's version from there on; None: no champion.
        signed_by: Name of the key, or the start of its id, or `unsigned`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sequence: int
    action: str
    version: int | None
    signed_by: str


class AuditedVersion(BaseModel):
    """A published version, and what it rests on.

    Attributes:
        version: Its number.
        model_id: Its model id.
        signed_by: Name of the key, or the start of its id, or `unsigned`.
        decision: How it was released: `push`, …, or that it was pushed by hand.
        champion: Model id of the champion that it was compared with; empty if there was none.
        plan: Name and digest of the change plan; empty if there was none.
        changes: Number of changes and limits that the plan decided about.
        reasons: The reasons of the decision.
        outputs: Number of outputs in its chain.
        notes: What there is to know besides: rewritten outputs, copies that were removed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    model_id: str
    signed_by: str
    decision: str
    champion: str = ""
    plan: str = ""
    changes: int = 0
    reasons: tuple[str, ...] = ()
    outputs: int = 0
    notes: tuple[str, ...] = ()


class Audit(BaseModel):
    """The audit of a model.

    Attributes:
        name: Name of the model.
        entries: Every change of its champion.
        versions: Every published version.
        objects: Number of objects that were read.
        trust: Whether signatures were verified: MAMMO_TRUST is set.
        faults: What is wrong; empty: the chain is whole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    entries: tuple[AuditedEntry, ...]
    versions: tuple[AuditedVersion, ...]
    objects: int
    trust: bool
    faults: tuple[Fault, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain data for `--json`."""
        return self.model_dump(mode="json")

    def lines(self) -> list[str]:
        """Return the audit for people, a line each."""
        lines = [f"{self.name}: every change of the champion"]
        for entry in self.entries:
            champion = "no champion" if entry.version is None else f"version {entry.version}"
            lines.append(
                f"{entry.sequence:>4}  {entry.action:8}  {champion:14}  signed by {entry.signed_by}"
                if entry.signed_by != "unsigned"
                else f"{entry.sequence:>4}  {entry.action:8}  {champion:14}  unsigned"
            )
        for version in self.versions:
            lines += _version_lines(version)
        signatures = "signatures verified" if self.trust else "signatures not verified: no policy"
        count = len(self.faults)
        state = f"{count} fault{'s' if count > 1 else ''}" if count else "the chain is whole"
        lines += ["", f"{self.objects} objects read, {signatures}: {state}"]
        return [*lines, *(f"  {fault.key}: {fault.problem}" for fault in self.faults)]


def _version_lines(version: AuditedVersion) -> list[str]:
    signed = version.signed_by if version.signed_by == "unsigned" else f"by {version.signed_by}"
    lines = ["", f"version {version.version}  {version.model_id[:12]}  {signed}"]
    compared = f", compared with {version.champion[:12]}" if version.champion else ""
    lines.append(f"  released: {version.decision}{compared}")
    if version.plan:
        lines.append(f"  plan: {version.plan}, {version.changes} changes and limits")
    lines += [f"    {reason}" for reason in version.reasons]
    if version.outputs:
        lines.append(f"  rests on {version.outputs} outputs")
    return [*lines, *(f"  {note}" for note in version.notes)]
