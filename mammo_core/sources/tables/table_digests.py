"""Digests of the tables and lists that a source is read with.

A listing knows sizes and times of files; a label that was corrected in place, within the same
second or by a tool that keeps times, changes neither. Tables are small enough to be read.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from mammo_core.sources.adapter import get_adapter
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.tables.csv_table import MAXIMUM_STREAMED_BYTES

#: Endings of case tables, patient lists and contours.
_SUFFIXES: Final = (".csv", ".tsv", ".txt", ".json", ".xml", ".xls", ".xlsx")


def table_digests(source: SourceConfig, files: SourceFiles) -> dict[str, str]:
    """Return name → SHA-256 of every table of a source: by its ending, or named in the settings.

    Args:
        source: The source.
        files: The files of its root, or those of its tables.
    """
    named = set(_texts(source.model_dump(mode="json")))
    return {
        name: files.sha256(name)
        for name, entry in files.entries.items()
        if entry.size <= MAXIMUM_STREAMED_BYTES
        and (name.lower().endswith(_SUFFIXES) or name in named)
    }


def referenced_tables(source: SourceConfig) -> list[tuple[str, str]]:
    """Return (name, SHA-256) of every table that a source is read with.

    Args:
        source: The source; `tables` can be a folder or one file.

    Raises:
        StoreError: A store or folder cannot be read.
    """
    digests = [(f"root/{name}", digest) for name, digest in _root_tables(source).items()]
    digests += [(f"other/{name}", digest) for name, digest in other_digests(source)]
    if source.tables is None:
        return digests
    folder, _, name = source.tables.rpartition("/")
    parent = SourceFiles.open(folder or ".")
    if name and parent.entry(name) is not None:  # one file, not a folder
        return [*digests, ("table", parent.sha256(name))]
    others = table_digests(source, SourceFiles.open(source.tables))
    return [*digests, *((f"table/{name}", digest) for name, digest in others.items())]


def other_digests(source: SourceConfig) -> list[tuple[str, str]]:
    """Return (name, SHA-256) of each file that is read besides the root and the tables.

    Args:
        source: The source.

    Raises:
        StoreError: A store or folder cannot be read.
    """
    adapter = get_adapter(source.adapter)
    digests: list[tuple[str, str]] = []
    for uri in adapter.other_files(source) if adapter.other_files is not None else ():
        folder, _, name = uri.rpartition("/")
        beside = SourceFiles.open(folder or ".")
        if beside.entry(name) is not None:
            digests.append((name, beside.sha256(name)))
    return digests


def _root_tables(source: SourceConfig) -> dict[str, str]:
    return table_digests(source, SourceFiles.open(source.root))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
