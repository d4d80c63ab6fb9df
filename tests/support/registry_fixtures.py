"""Versions in a registry for tests: with a lineage, without a network."""

import hashlib
import json

from mammo_core.packaging.signatures.checksums import SUMS
from mammo_core.registry.keys import marker_key
from mammo_core.registry.promotion import advance, begin
from mammo_core.registry.versions import PublishedMarker, to_file


def put_version(store, name, number, lineage, model_id, more=None):
    """Write a version with its small files alone, and make it the champion; return its URI."""
    folder = f"models/{name}/{number}"
    release = {"name": name, "version": number, "model_id": model_id}
    files = {"lineage.json": lineage, "release.json": release, **(more or {})}
    data = {file: json.dumps(value).encode() for file, value in files.items()}
    data[SUMS] = "".join(
        f"{hashlib.sha256(value).hexdigest()}  {file}\n" for file, value in sorted(data.items())
    ).encode()
    begin(store, name)
    for file, value in data.items():
        store.write(f"{folder}/{file}", value)
    marker = PublishedMarker(model_id=model_id, sums=hashlib.sha256(data[SUMS]).hexdigest())
    store.write(marker_key(name, number), to_file(marker))
    advance(store, name, number, model_id)
    return f"{store.uri}/{folder}"


def remove_model(store, name):
    """Remove a model with all its versions and its champion."""
    for key in list(store.list(f"models/{name}/")):
        store.delete(key)
