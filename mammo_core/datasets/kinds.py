"""Kinds of outputs: where they are, and what their manifests say.

Each kind is declared once, in the module `kinds` of the room that makes its outputs.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mammo_core.datasets.manifests import (
    REBUILD_HINT,
    Manifest,
    StoredFile,
    content_id,
    find,
)
from mammo_core.discovery import import_from_packages
from mammo_core.errors import RecordError
from mammo_core.store import Store

_LIBRARY: Final = "mammo_core"


class Facts(BaseModel):
    """Base of the facts of a kind: what readers of an output need to know about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


FactsT = TypeVar("FactsT", bound=Facts)


@dataclass(frozen=True)
class Kind(Generic[FactsT]):
    """A kind of outputs.

    Attributes:
        folder: Folder of its outputs in the store.
        revision: Raised by hand when the outputs of a step change; enters their ids.
        facts: The model of its facts.
        intermediate: Whether garbage collection removes an output that nothing refers to.
        judges: Name, in the lineage of its outputs, of the output that they judge; they are
            kept as long as it is.
        record_id: Field that identifies a record; empty for outputs without records.
    """

    folder: str
    revision: int
    facts: type[FactsT]
    intermediate: bool = False
    judges: str = ""
    record_id: str = ""

    def content_id(self, config: Mapping[str, Any], inputs: Iterable[tuple[str, str]] = ()) -> str:
        """Return the content address of an output.

        Args:
            config: The configuration of the step, JSON values only.
            inputs: (id, digest) of everything that goes in, in any order.
        """
        return content_id(self.folder, self.revision, config, inputs)

    def output(self, id: str) -> str:
        """Return the folder of an output in the store."""
        return f"{self.folder}/{id}"

    def note(self, name: str, digest: str, ending: str = ".json") -> str:
        """Return the key of a note beside the outputs: what was found out, so as to be quick.

        Args:
            name: What the notes of this name say.
            digest: What the note is about.
            ending: The ending of its file.
        """
        return f"{self.folder}/{name}/{digest}{ending}"

    def find(self, store: Store, id: str) -> Manifest | None:
        """Return the published manifest of an output, or None."""
        return find(store, self.folder, id) if id else None

    def read(self, store: Store, id: str) -> Manifest:
        """Return the published manifest of an output.

        Raises:
            RecordError: It is not in the store.
        """
        manifest = self.find(store, id)
        if manifest is None:
            raise RecordError(
                f"There is no output {id!r} under {self.folder}/ in {store.uri}",
                expected="the id of a published output",
                received=id or "no id",
                hint=f"`mammo store ls {store.uri}` lists what there is",
            )
        return manifest

    def manifest(
        self,
        id: str,
        *,
        config: Mapping[str, Any],
        facts: FactsT,
        files: Iterable[StoredFile] = (),
        counts: Mapping[str, int] | None = None,
        lineage: Mapping[str, str] | None = None,
    ) -> Manifest:
        """Return a manifest of this kind, to be published.

        Its mappings are in the order of what is stored: a step that goes on with it writes the
        same bytes as one that reads it.
        """
        return Manifest(
            kind=self.folder,
            id=id,
            revision=self.revision,
            config=_sorted(config),
            files=tuple(files),
            counts=_sorted(counts or {}),
            facts=_sorted(facts.model_dump(mode="json")),
            lineage=_sorted(lineage or {}),
        )

    def facts_of(self, manifest: Manifest) -> FactsT:
        """Return the facts of an output of this kind.

        Raises:
            RecordError: The manifest is of another kind, or its facts are not valid.
        """
        if manifest.kind != self.folder:
            raise RecordError(
                f"The output {manifest.folder} is of another kind",
                expected=f"an output under {self.folder}/",
                received=manifest.kind,
            )
        try:
            return self.facts.model_validate(manifest.facts)
        except ValidationError as error:
            first = error.errors()[0]
            raise RecordError(
                f"The facts in the manifest {manifest.key} are not valid",
                expected=f"the facts of revision {self.revision}",
                received=f"{first['msg']} at {'.'.join(map(str, first['loc'])) or 'the start'}",
                hint=f"an older revision of Mammo Pipelines wrote it: {REBUILD_HINT}",
            ) from error


#: Folder → kind, of the modules that were imported; `runs.kinds.KINDS` has all kinds.
_REGISTERED: dict[str, Kind[Any]] = {}


def _sorted(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as JSON gives them back, keys sorted."""
    result: dict[str, Any] = json.loads(json.dumps(values, sort_keys=True))
    return result


def register_kind(kind: Kind[FactsT]) -> Kind[FactsT]:
    """Add a kind, so that garbage collection knows its outputs.

    Args:
        kind: The kind. Registering an equal one again has no effect.

    Returns:
        The same kind.

    Raises:
        RecordError: Another kind has the same folder.
    """
    taken = _REGISTERED.setdefault(kind.folder, kind)
    if taken != kind:
        raise RecordError(
            f"Two kinds of outputs use the folder {kind.folder}",
            expected="one kind per folder",
            received=f"{taken.facts.__name__} and {kind.facts.__name__}",
        )
    return kind


def kind_of(manifest: Manifest) -> Kind[Any]:
    """Return the kind of an output that this library makes.

    Raises:
        RecordError: It is of another kind.
    """
    import_from_packages(_LIBRARY, "kinds")
    kind = _REGISTERED.get(manifest.kind)
    if kind is None:
        raise RecordError(
            f"The output {manifest.folder} is of an unknown kind",
            expected=f"one of {', '.join(sorted(_REGISTERED))}",
            received=manifest.kind,
        )
    return kind


def registered_kinds() -> dict[str, Kind[Any]]:
    """Return folder → kind of the modules that were imported, sorted."""
    return dict(sorted(_REGISTERED.items()))
