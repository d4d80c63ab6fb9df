"""Several manifests in one artifact, so that one arrow joins two groups of the graph.

A bundle is a JSON object: name → manifest, or a list of manifests.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mammo_core.at_paths import write
from mammo_core.datasets import Manifest, parse
from mammo_core.documents import parse_json

#: Name → manifest, or a list of manifests.
Bundle = dict[str, Any]


def write_bundle(path: str, bundle: Mapping[str, Manifest | Sequence[Manifest]]) -> dict[str, str]:
    """Write a bundle and return the metadata of its artifact: name → id.

    Args:
        path: Path of the artifact.
        bundle: Its manifests by name.
    """
    plain = {
        name: part.model_dump(mode="json")
        if isinstance(part, Manifest)
        else [item.model_dump(mode="json") for item in part]
        for name, part in bundle.items()
    }
    write(path, (json.dumps(plain, sort_keys=True) + "\n").encode())
    return {
        name: part.id if isinstance(part, Manifest) else ", ".join(item.id for item in part)
        for name, part in bundle.items()
    }


def read_bundle(path: str) -> Bundle:
    """Return the manifests of the bundle at a path, by name."""
    parts = parse_json(Path(path).read_text())
    return {
        name: [_manifest(item, path) for item in part]
        if isinstance(part, list)
        else _manifest(part, path)
        for name, part in parts.items()
    }


def _manifest(value: object, path: str) -> Manifest:
    return parse(json.dumps(value).encode(), path)
