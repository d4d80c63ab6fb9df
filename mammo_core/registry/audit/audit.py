"""`mammo models audit`: verify the whole chain of a model and tell its history.

From the images to the decision, each object names the next by its digest:

    signature → SHA256SUMS → chain.json → manifests → tables (ids of images), records, frame,
                                                      trainings, evaluation
                           → decision.json → candidate, duel, decision of the gate
    champion → entries → versions

So one edited byte is a fault of the object that has it. Whoever edits an object and everything that
names it needs the key that signed the version.
"""

from mammo_core.errors import ModelError
from mammo_core.packaging.signatures.trust import TrustPolicy
from mammo_core.progress import progress
from mammo_core.registry.audit.entries import audit_entries
from mammo_core.registry.audit.outputs import OutputAudit
from mammo_core.registry.audit.report import Audit
from mammo_core.registry.audit.versions import VersionAudit
from mammo_core.registry.versions import published_numbers, require_name
from mammo_core.store import Store


def audit(store: Store, name: str, *, quiet: bool = False) -> Audit:
    """Verify every object of a model's chain.

    Args:
        store: Where the registry and the outputs are.
        name: Name of the model.
        quiet: Whether no progress is shown.

    Raises:
        ModelError: There is no such model, or the trust policy cannot be read. What is wrong with
            the chain is no error: it is in the result.
        StoreError: The store fails.
    """
    trust = TrustPolicy.from_environment()
    numbers = published_numbers(store, require_name(name))
    if not numbers:
        raise ModelError(
            f"There is no model {name} in {store.uri}",
            expected="a model with a published version",
            received="none of this name",
            hint="`mammo models list` lists them",
        )
    outputs = OutputAudit(store, trust)
    entries = audit_entries(outputs, name)
    versions = tuple(VersionAudit(outputs, name, number).run() for number in numbers)
    if quiet:
        for _ in outputs.files():
            continue
    else:
        with progress("audit", outputs.file_count, "files") as bar:
            for _ in outputs.files():
                bar.advance()
    released = {version.version for version in versions}
    for entry in entries:
        if entry.version is not None and entry.version not in released:
            key = f"entry {entry.sequence} of the champion of {name}"
            outputs.fault(key, f"it names version {entry.version}, which is not published")
    return Audit(
        name=name,
        entries=entries,
        versions=versions,
        objects=len(outputs.objects),
        trust=trust is not None,
        faults=tuple(outputs.faults),
    )
