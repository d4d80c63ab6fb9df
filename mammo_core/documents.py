"""JSON, YAML, property lists and arrays from outside, parsed within limits.

The parsers of Python limit neither size nor depth: a few bytes can take gigabytes or end the
process (`[[[[…`, aliases of aliases in YAML, numbers with a million digits). Every fault is a
`DocumentError`, whatever the parser raises.
"""

import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

#: Bytes of a JSON document: a manifest of a million excluded records has 70 MB.
MAXIMUM_JSON_BYTES: Final = 2**27
#: Values in a JSON document: each takes up to 100 bytes of memory.
MAXIMUM_JSON_VALUES: Final = 4_000_000
#: Keys in a JSON document that pydantic validates: an error of an unknown key takes a kB and
#: more. A manifest of 10,000 files has 50,000.
MAXIMUM_JSON_KEYS: Final = 250_000
#: Bytes of a YAML document: PyYAML reads 100 kB a second. A recipe has 2 kB, a compiled pipeline
#: 120 kB.
MAXIMUM_YAML_BYTES: Final = 2**19
#: Values in a YAML document with every alias replaced by what it stands for.
MAXIMUM_YAML_VALUES: Final = 50_000
#: Nested lists and mappings of any document: recipes have 5, configurations of networks 20.
MAXIMUM_DEPTH: Final = 100
#: Bytes of a property list: the contours of a mammogram have up to 1 MB.
MAXIMUM_PLIST_BYTES: Final = 2**24
_SHOWN: Final = 200  # characters of a parser's message


class DocumentError(ValueError):
    """A document that cannot be parsed, or exceeds a limit.

    Args:
        received: What is wrong with it, for the third part of a message.
    """

    def __init__(self, received: str) -> None:
        super().__init__(received)
        self.received = received


def parse_json(
    data: bytes | str,
    *,
    max_bytes: int = MAXIMUM_JSON_BYTES,
    max_values: int = MAXIMUM_JSON_VALUES,
) -> Any:
    """Parse a JSON document within limits of size, values and depth.

    Args:
        data: The document; bytes in UTF-8.
        max_bytes: Largest size (bytes, or characters of text).
        max_values: Largest number of values, keys not counted.

    Raises:
        DocumentError: It is not JSON, or exceeds a limit.
    """
    require_json_limits(data, max_bytes=max_bytes, max_values=max_values)
    try:
        value = json.loads(data)
    except RecursionError:
        raise DocumentError(f"more than {MAXIMUM_DEPTH} nested values") from None
    except ValueError as error:  # damaged text, or a number of thousands of digits
        raise DocumentError(f"not JSON: {_first_line(error)}") from error
    _require_depth(value)
    return value


def require_json_limits(
    data: bytes | str,
    *,
    max_bytes: int = MAXIMUM_JSON_BYTES,
    max_values: int = MAXIMUM_JSON_VALUES,
    max_keys: int | None = None,
) -> None:
    """Refuse a JSON document by its size and its numbers of values and keys, before it is parsed.

    Pydantic's parser limits the depth itself.

    Args:
        data: The document.
        max_bytes: Largest size (bytes, or characters of text).
        max_values: Largest number of values.
        max_keys: Largest number of keys; None: any.

    Raises:
        DocumentError: It exceeds a limit.
    """
    if len(data) > max_bytes:
        raise DocumentError(f"{len(data)} bytes, more than {max_bytes}")
    # Each value but the first follows one of these; those within strings only make it stricter.
    if sum(map(_counter(data), ",[{")) > max_values:
        raise DocumentError(f"more than {max_values} values")
    if max_keys is not None and _counter(data)(":") > max_keys:
        raise DocumentError(f"more than {max_keys} keys")


def _counter(data: bytes | str) -> Callable[[str], int]:
    return lambda sign: data.count(sign.encode()) if isinstance(data, bytes) else data.count(sign)


def parse_yaml(text: str, loader: Any = None, *, max_bytes: int = MAXIMUM_YAML_BYTES) -> Any:
    """Parse a YAML document within limits of size, depth and values, aliases replaced.

    Args:
        text: The document.
        loader: A subclass of `yaml.SafeLoader`; None: that one.
        max_bytes: Largest size (characters).

    Raises:
        DocumentError: It is not YAML, exceeds a limit, or contains itself.
    """
    documents = list(_yaml_documents(text, loader, max_bytes))
    if len(documents) > 1:
        raise DocumentError(f"{len(documents)} documents")
    return documents[0] if documents else None


def parse_all_yaml(text: str, *, max_bytes: int = MAXIMUM_YAML_BYTES) -> list[Any]:
    """Parse a file of several YAML documents within the limits of `parse_yaml`.

    Args:
        text: The file.
        max_bytes: Largest size (characters).

    Raises:
        DocumentError: As in `parse_yaml`.
    """
    return list(_yaml_documents(text, None, max_bytes))


def _yaml_documents(text: str, loader: Any, max_bytes: int) -> Iterator[Any]:
    import yaml

    if len(text) > max_bytes:
        raise DocumentError(f"{len(text)} bytes, more than {max_bytes}")
    try:
        reader = (loader or yaml.SafeLoader)(text)
        while reader.check_node():
            node = reader.get_node()
            _require_few_nodes(node)
            yield reader.construct_document(node)
    except DocumentError:
        raise
    except RecursionError:
        raise DocumentError(f"more than {MAXIMUM_DEPTH} nested values") from None
    # A number, date or tag that is not one raises what Python raises for it.
    except (
        yaml.YAMLError,
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        OverflowError,
    ) as error:
        raise DocumentError(" ".join(str(error).split())[:_SHOWN]) from error


def _require_few_nodes(root: Any) -> None:
    """Refuse a document whose aliases stand for too much, or for what contains them."""
    import yaml

    sizes: dict[int, int] = {}

    def size(node: Any, depth: int) -> int:
        if depth > MAXIMUM_DEPTH:
            raise DocumentError(f"more than {MAXIMUM_DEPTH} nested values")
        known = sizes.get(id(node))
        if known == 0:
            raise DocumentError("a value that contains itself")
        if known is not None:
            return known
        sizes[id(node)] = 0  # in progress
        total = 1
        if isinstance(node, yaml.SequenceNode):
            total += sum(size(item, depth + 1) for item in node.value)
        elif isinstance(node, yaml.MappingNode):
            total += sum(size(item, depth + 1) for pair in node.value for item in pair)
        if total > MAXIMUM_YAML_VALUES:
            raise DocumentError(f"more than {MAXIMUM_YAML_VALUES} values, aliases replaced")
        sizes[id(node)] = total
        return total

    size(root, 0)


def parse_plist(data: bytes) -> Any:
    """Parse an XML property list within limits; entities and binary lists are refused.

    Args:
        data: The document.

    Raises:
        DocumentError: It is not such a list, or exceeds a limit.
    """
    import plistlib
    from xml.parsers.expat import ExpatError

    if len(data) > MAXIMUM_PLIST_BYTES:
        raise DocumentError(f"{len(data)} bytes, more than {MAXIMUM_PLIST_BYTES}")
    try:
        value = plistlib.loads(data, fmt=plistlib.FMT_XML)
    except (
        ValueError, TypeError, AttributeError, LookupError, OverflowError, ExpatError,
        RecursionError, UnicodeError,
    ) as error:  # fmt: skip
        raise DocumentError(f"one that cannot be parsed ({type(error).__name__})") from error
    _require_depth(value)
    return value


def parse_npz(source: bytes | Path, *, max_bytes: int) -> dict[str, Any]:
    """Read the arrays of an .npz file; pickled objects are refused.

    Args:
        source: The file, or its content.
        max_bytes: Largest size of all arrays.

    Returns:
        The arrays by name.

    Raises:
        DocumentError: It is damaged, contains pickled objects, or exceeds the limit.
        OSError: It cannot be read.
    """
    import numpy as np

    file: Any = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(part.file_size for part in archive.infolist())
        if size > max_bytes:
            raise DocumentError(f"{size} bytes of arrays, more than {max_bytes}")
        # A part never gives more bytes than its entry states, whatever the array's header says.
        with np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except DocumentError:
        raise
    except FileNotFoundError:
        raise
    except Exception as error:  # damaged archives and headers of arrays raise many kinds
        raise DocumentError(f"{type(error).__name__}: {_first_line(error)}") from error


def inflate(data: bytes, max_bytes: int) -> bytes:
    """Inflate gzip data, but not beyond a size.

    Args:
        data: The compressed bytes.
        max_bytes: Largest size of the result.

    Raises:
        DocumentError: They are damaged, or inflate to more.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            content = file.read(max_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DocumentError(f"not gzip: {_first_line(error)}") from error
    if len(content) > max_bytes:
        raise DocumentError(f"more than {max_bytes} bytes when inflated")
    return content


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Return the content of a file, unless it is too large.

    Args:
        path: The file.
        max_bytes: Largest size (bytes).

    Raises:
        DocumentError: It is larger.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:  # a device or a pipe has no size
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise DocumentError(f"more than {max_bytes} bytes")
    return data


def _require_depth(value: Any) -> None:
    """Refuse nesting that would end recursive functions later."""
    pending = [(value, 0)]
    while pending:
        item, depth = pending.pop()
        if isinstance(item, dict | list):
            if depth >= MAXIMUM_DEPTH:
                raise DocumentError(f"more than {MAXIMUM_DEPTH} nested values")
            items = item.values() if isinstance(item, dict) else item
            pending += [(each, depth + 1) for each in items if isinstance(each, dict | list)]


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:_SHOWN] if lines else type(error).__name__
