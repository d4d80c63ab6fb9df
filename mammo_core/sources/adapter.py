"""The registry of adapters: what each collection is called, and everything it declares.

An adapter is one module (or package) in `adapters/` that calls `register_adapter` when it is
imported. Code outside this library registers its own in the same way: by an import before the
recipe is read, or for every process by an entry point in the group `mammo.adapters`. Nothing
here loads pydantic, pandas or a codec.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from mammo_core.discovery import import_entry_points, import_modules, module_names
from mammo_core.errors import SourceError

if TYPE_CHECKING:  # quick to load: see the module
    from pydantic import BaseModel

    from mammo_core.sources.config import SourceConfig
    from mammo_core.sources.files.source_files import SourceFiles
    from mammo_core.sources.identity.names import ImageName
    from mammo_core.sources.tables.source_tables import ProgressCall, SourceTables

_PACKAGE: Final = "mammo_core.sources.adapters"
_ENTRY_POINTS: Final = "mammo.adapters"

#: Counts of a source (JSON-able), as a check prints them and the tables' manifest keeps them.
SourceFacts = dict[str, Any]


class IndexCall(Protocol):
    """Reads a source."""

    def __call__(
        self,
        config: "SourceConfig",
        files: "SourceFiles",
        progress: "ProgressCall | None",
        workers: int | None,
    ) -> "SourceTables":
        """Return the tables of a source.

        Args:
            config: The source.
            files: The files under its root, which exists.
            progress: Called with what is being done, how many are done, and of how many.
            workers: Threads.

        Raises:
            SourceError: The source cannot be used.
            StoreError: The server failed.
            OSError: The disk failed.
        """


class CheckCall(Protocol):
    """Checks a source before a run."""

    def __call__(
        self, config: "SourceConfig", images: bool, progress: "ProgressCall | None"
    ) -> SourceFacts:
        """Return counts, and the faults under `rejects` or `problems`.

        Args:
            config: The source.
            images: Whether images and masks are opened too.
            progress: Called with what is being done, how many are done, and of how many.

        Raises:
            SourceError: The source cannot be used.
            StoreError: The server failed.
            OSError: The disk failed.
        """


@dataclass(frozen=True)
class Adapter:
    """Everything that one collection declares.

    Args:
        name: The value of `source.adapter`, and the key of the options beside it.
        index: Reads the source.
        options: Frozen pydantic model of the options, every one with a default; None without.
        check: Checks the source; None indexes it and reports the rejects.
        check_input: What a check cannot do without; `either` of them is enough.
        license: License of the collection for the model card; empty when the site knows it.
        needs_site_key: Whether patient keys of the source depend on the site key.
        read_file_name: Reads patient and view from a file name of this collection (without
            folders); None when the names do not contain them.
        header_views: View in the headers of this collection → the view that it means by it.
        pseudonyms: Regular expression of the patient pseudonyms published with the
            collection, which need no key; empty without any.
        keeps_pseudonyms: Whether patient keys of the source may be pseudonyms that another
            collection published.
        fact_lines: Formats the facts that only this adapter reports, one line each.
        lossy_jpeg: Whether the collection is published as JPEG pictures, which are then read. An
            adapter of a site's own files has an option `lossy_jpeg` instead.
        other_files: Returns the URIs of files that a source is read with, besides its root and
            its tables.
    """

    name: str
    index: IndexCall
    options: "type[BaseModel] | None" = None
    check: CheckCall | None = None
    check_input: Literal["tables", "images", "either"] = "images"
    license: str = ""
    needs_site_key: bool = False
    read_file_name: "Callable[[str], ImageName | None] | None" = None
    header_views: Mapping[str, str] = field(default_factory=dict)
    pseudonyms: str = ""
    keeps_pseudonyms: bool = False
    fact_lines: Callable[[SourceFacts], list[str]] | None = None
    lossy_jpeg: bool = False
    other_files: "Callable[[SourceConfig], list[str]] | None" = None


_ADAPTERS: Final[dict[str, Adapter]] = {}
#: Keys of `source` that are not options of an adapter.
_RESERVED: Final = frozenset(
    ("adapter", "root", "tables", "partial", "image_id", "terms", "acknowledged")
)


def register_adapter(adapter: Adapter) -> Adapter:
    """Add an adapter to the registry, so that recipes and commands can name it.

    Registering an equal adapter again has no effect.

    Args:
        adapter: The adapter; its name must be free.

    Returns:
        The same adapter.

    Raises:
        SourceError: The name is taken, reserved, or not an identifier.
    """
    taken = _ADAPTERS.get(adapter.name)
    if taken is not None and taken != adapter:
        raise _registration_error(adapter, "a name that is not taken")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", adapter.name) or adapter.name in _RESERVED:
        raise _registration_error(
            adapter,
            f"lower-case letters, digits and _, and none of {', '.join(sorted(_RESERVED))}",
        )
    _ADAPTERS[adapter.name] = adapter
    return adapter


def get_adapter(name: str) -> Adapter:
    """Return a registered adapter.

    Args:
        name: Its name.

    Raises:
        SourceError: There is no such adapter.
    """
    if name not in _ADAPTERS and name in module_names(_PACKAGE):
        import_module(f"{_PACKAGE}.{name}")
    if name not in _ADAPTERS:
        _discover()
    if name not in _ADAPTERS:
        raise SourceError(
            f"There is no adapter {name!r}",
            expected=", ".join(adapter_names()),
            received=repr(name),
            hint="Import the module that registers the adapter (register_adapter) first",
        )
    return _ADAPTERS[name]


def registered_adapters() -> Mapping[str, Adapter]:
    """Return all adapters by name, sorted."""
    _discover()
    return dict(sorted(_ADAPTERS.items()))


def adapter_names() -> list[str]:
    """Return the names of all adapters, sorted."""
    return list(registered_adapters())


def _discover() -> None:
    """Import every module in `adapters/` and every entry point; each registers itself."""
    import_modules(_PACKAGE)
    import_entry_points(_ENTRY_POINTS)


def _registration_error(adapter: Adapter, expected: str) -> SourceError:
    return SourceError(
        f"The adapter {adapter.name!r} cannot be registered",
        expected=expected,
        received=repr(adapter.name),
    )
