"""chain.json: what a model rests on, from the tables of its source to its evaluation, by digest.

A manifest lists the files of an output with their digests, and the tables of a source list its
images by theirs. So a package whose signature covers chain.json vouches for every byte that its
model rests on, and one edited byte breaks the chain (`registry.audit`).
"""

import hashlib
from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from mammo_core.datasets import Manifest
from mammo_core.datasets.kinds import Kind
from mammo_core.documents import MAXIMUM_JSON_BYTES
from mammo_core.evaluation.kinds import EVALUATION
from mammo_core.features.kinds import ASSIGNMENT, FRAME
from mammo_core.ingest.kinds import IMAGE_DATASET, PATCH_DATASET
from mammo_core.sources.kinds import TABLES
from mammo_core.store import Store
from mammo_core.training.kinds import IMAGE_TRAINING, PATCH_TRAINING, members_of

CHAIN: Final = "chain.json"
#: Name in a lineage → kind of that output.
_KINDS: Final[dict[str, Kind[Any]]] = {
    "tables": TABLES,
    "images": IMAGE_DATASET,
    "patches": PATCH_DATASET,
    "frame": FRAME,
    "sides": ASSIGNMENT,
    "patch_training": PATCH_TRAINING,
    "image_training": IMAGE_TRAINING,
    "evaluation": EVALUATION,
}


class Link(BaseModel):
    """An output in a chain.

    Attributes:
        kind: Folder of its kind.
        id: Its content address.
        manifest: SHA-256 (hex) of its manifest as it was stored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    id: str
    manifest: str

    @property
    def folder(self) -> str:
        """Folder of the output in the store."""
        return f"{self.kind}/{self.id}"

    @property
    def key(self) -> str:
        """Key of its manifest in the store."""
        return f"{self.folder}/manifest.json"


class Chain(BaseModel):
    """chain.json: the outputs that a model rests on.

    Attributes:
        links: The outputs, sorted by kind and id.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    links: tuple[Link, ...] = Field(min_length=1)


def link_of(store: Store, manifest: Manifest) -> Link:
    """Return the link to a published output.

    Raises:
        StoreError: Its manifest cannot be read.
    """
    digest = hashlib.sha256(store.read(manifest.key, MAXIMUM_JSON_BYTES)).hexdigest()
    return Link(kind=manifest.kind, id=manifest.id, manifest=digest)


def chain_of(store: Store, outputs: Iterable[Manifest]) -> Chain:
    """Return the chain of outputs and of all outputs that they were made from.

    An output that was removed since is left out: `mammo models audit` says that it is missing,
    because the manifests that name it are in the chain.

    Args:
        store: The object store.
        outputs: Published outputs.

    Raises:
        RecordError: A manifest is damaged.
        StoreError: The store fails.
    """
    links: dict[str, Link] = {}
    waiting = list(outputs)
    while waiting:
        manifest = waiting.pop()
        if manifest.folder in links:
            continue
        links[manifest.folder] = link_of(store, manifest)
        published = (kind.find(store, id) for kind, id in inputs_of(manifest))
        waiting += [each for each in published if each is not None]
    ordered = sorted(links.values(), key=lambda link: (link.kind, link.id))
    return Chain(links=tuple(ordered))


def inputs_of(manifest: Manifest) -> list[tuple[Kind[Any], str]]:
    """Return kind and id of the outputs that an output was made from, as its lineage names them.

    Args:
        manifest: The output.
    """
    named = [(kind, manifest.lineage.get(name, "")) for name, kind in _KINDS.items()]
    named += [(IMAGE_TRAINING, id) for id in members_of(manifest)]
    return [(kind, id) for kind, id in named if id]
