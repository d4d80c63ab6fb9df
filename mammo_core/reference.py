"""The reference of the keys of a recipe, and generated parts of pages in docs/.

`make reference` (pipelines/reference.py) rewrites them.

A page contains a generated part between the markers `<!-- generated: NAME -->` and
`<!-- end -->`.
"""

import inspect
import re
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from mammo_core.errors import RecordError
from mammo_core.recipes import Recipe
from mammo_core.sources.adapter import registered_adapters
from mammo_core.sources.several.entry import ADDED_KEYS

RECIPE_KEYS = "recipe keys"
_HEADER = "| key | type | default | meaning |\n|---|---|---|---|"
#: Attribute of a constraint in a field's metadata → how it is written.
_LIMITS = {"gt": "> {}", "ge": "≥ {}", "lt": "< {}", "le": "≤ {}", "pattern": "`{}`"}
_NAMES = {int: "integer", float: "number", bool: "true or false", str: "text", type(None): "null"}


class _Key(NamedTuple):
    """A row of the reference."""

    path: str
    type: str
    default: str
    meaning: str


def replace_generated(page: str, name: str, content: str) -> str:
    """Replace a generated part of a page.

    Args:
        page: The page.
        name: Name of the part, as in its marker.
        content: The new content.

    Raises:
        RecordError: The page has no such part.
    """
    start, end = f"<!-- generated: {name} -->\n", "<!-- end -->"
    head, marker, tail = page.partition(start)
    if not marker or end not in tail:
        raise RecordError(
            f"The page has no generated part {name!r}",
            expected=f"the markers {start.strip()} and {end}",
            received="a page without them",
        )
    return f"{head}{start}\n{content.strip()}\n\n{end}{tail.partition(end)[2]}"


def recipe_reference() -> str:
    """Return the reference of all keys of a recipe, in Markdown: a table for each section."""
    documented: dict[type[BaseModel], str] = {}
    single_keys, sections = [], []
    for name, field in Recipe.model_fields.items():
        key = _key(Recipe, name, field, "")
        model = _model_of(field.annotation)
        if model is None:
            single_keys.append(key)
            continue
        prefix = f"{name}{_suffix(field.annotation)}."
        if name == "sources":  # with those of `source`, `images` and `labels`
            added = [(k, f) for k, f in model.model_fields.items() if k in ADDED_KEYS]
            table = _table([_key(model, each, its_field, prefix) for each, its_field in added])
            text = f"{key.meaning} Each has the keys of `source`, and these."
            sections.append(f"### `{name}`\n\n{text}\n\n{table}")
            continue
        keys = list(_keys(model, prefix, documented))
        if name == "source":
            keys += _adapter_keys(documented)
        documented[model] = name
        sections.append(f"### `{name}`\n\n{key.meaning}\n\n{_table(keys)}")
    return "\n\n".join([f"### Single keys\n\n{_table(single_keys)}", *sections])


def attribute_descriptions(model: type) -> dict[str, str]:
    """Return the attributes that a class and its bases describe in their docstrings."""
    descriptions: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if base.__module__.startswith("mammo_core"):
            descriptions.update(_parse_attributes(inspect.getdoc(base) or ""))
    return descriptions


def _parse_attributes(docstring: str) -> Iterator[tuple[str, str]]:
    section = re.search(r"^(?:Attributes|Args):\n((?:    .*\n?|\n)+)", docstring, re.M)
    for entry in re.split(r"\n(?=    \S)", section[1]) if section else []:
        name, colon, text = entry.strip().partition(": ")
        if colon and re.fullmatch(r"[\w, ]+", name):
            for attribute in name.split(", "):
                yield attribute, " ".join(text.split())


def _keys(
    model: type[BaseModel], prefix: str, documented: dict[type[BaseModel], str]
) -> Iterator[_Key]:
    """Yield the keys of a section; the keys of a model that was shown before are not repeated."""
    for name, field in model.model_fields.items():
        key = _key(model, name, field, prefix)
        nested = _model_of(field.annotation)
        if nested is None:
            yield key
            continue
        if nested in documented:
            yield key._replace(meaning=f"{key.meaning} Keys: as in `{documented[nested]}`.")
            continue
        documented[nested] = key.path
        yield key
        yield from _keys(nested, f"{key.path}{_suffix(field.annotation)}.", documented)


def _key(model: type[BaseModel], name: str, field: FieldInfo, prefix: str) -> _Key:
    meaning = field.description or attribute_descriptions(model).get(name, "")
    meaning = re.sub(r"\bNone\b", "null", meaning)
    limits = [
        text.format(value)
        for item in field.metadata
        for attribute, text in _LIMITS.items()
        if (value := getattr(item, attribute, None)) is not None
    ]
    type_text = ", ".join([_type_text(field.annotation), *limits])
    return _Key(f"{prefix}{name}", type_text, _default_text(field), meaning)


def _adapter_keys(documented: dict[type[BaseModel], str]) -> Iterator[_Key]:
    for name, adapter in registered_adapters().items():
        if adapter.options is not None:
            yield from _keys(adapter.options, f"source.{name}.", documented)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """Return the model in an annotation: of the value, or of the items of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    models = [model for item in get_args(annotation) if (model := _model_of(item)) is not None]
    return models[0] if models else None


def _suffix(annotation: Any) -> str:
    return "[]" if get_origin(annotation) is tuple else ""


def _type_text(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in _NAMES:
        return _NAMES[annotation]
    if origin is Annotated:
        return _type_text(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_text(item) for item in arguments)
    if origin is tuple and arguments[-1] is not ...:
        return f"[{', '.join(_type_text(item) for item in arguments)}]"
    if origin in (tuple, list):
        return f"list of {_type_text(arguments[0])}"
    if origin in (dict, Mapping):
        return f"mapping of {_type_text(arguments[0])} to {_type_text(arguments[1])}"
    if _model_of(annotation) is not None:
        return "keys below"
    return {"AwareDatetime": "time with a zone", "Any": "any value"}.get(
        getattr(annotation, "__name__", str(annotation)), "any value"
    )


def _default_text(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if field.is_required() or default is PydanticUndefined:
        return "required"
    if isinstance(default, BaseModel) or _model_of(type(default)) or _has_models(default):
        return "see the keys"
    if default is None:
        return "null"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, (tuple, list, dict)):
        return f"`{list(default) if isinstance(default, tuple) else default}`"
    return f"`{default}`" if default != "" else "empty"


def _has_models(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and any(isinstance(item, BaseModel) for item in value)


def _table(keys: list[_Key]) -> str:
    rows = [" | ".join(_escape(cell) for cell in (f"`{key.path}`", *key[1:])) for key in keys]
    return "\n".join([_HEADER, *(f"| {row} |" for row in rows)])


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|")
