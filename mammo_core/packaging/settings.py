"""settings.json: the settings that a model was trained, evaluated and released with.

A change-control plan compares those of a challenger with those of the champion. Keys that enter
no id are left out, and so is what names a site: locations of files, buckets and columns.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

SETTINGS: Final = "settings.json"
#: A value of a setting: a text, a number, true, false, or null.
Value = str | float | int | bool | None
#: Keys that change neither a model nor a decision about it.
_LEFT_OUT: Final = (
    *("name", "command", "expected_time", "expected_result", "model_name"),
    *("runner", "hardware", "tracking", "reader", "retrain", "regions"),
    # The decision that released a model records those of its gate.
    "gate",
)
#: Sections of a recipe about sources, and their keys whose texts say nothing about where it is.
_SOURCES: Final = ("source", "sources")
_OF_SOURCE: Final = (
    *("name", "role", "adapter", "image_id", "acknowledged", "terms", "images", "labels"),
)


class ModelSettings(BaseModel):
    """settings.json.

    Attributes:
        settings: Key of the recipe, with dots and numbers of list items → value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: dict[str, Value]

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the settings."""
        text = json.dumps(self.settings, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def model_settings(recipe: Mapping[str, Any]) -> ModelSettings:
    """Return the settings of a model.

    Args:
        recipe: The resolved recipe as plain JSON.
    """
    values = dict(_flat(recipe, ""))
    kept = {key: value for key, value in values.items() if not _is_left_out(key, value)}
    return ModelSettings(settings={key: _without_location(kept[key]) for key in sorted(kept)})


def flat_settings(section: str, values: Mapping[str, Any]) -> dict[str, Value]:
    """Return the settings of a section of a recipe by their keys.

    Args:
        section: Key of the section.
        values: The section as plain JSON.
    """
    return dict(_flat(values, section))


def _flat(value: Any, key: str) -> Iterator[tuple[str, Value]]:
    """Yield the key and value of every setting; an empty list or mapping is null."""
    items: list[tuple[str, Any]] = []
    if isinstance(value, Mapping):
        items = [(str(name), item) for name, item in value.items()]
    elif isinstance(value, list | tuple):
        items = [(str(number), item) for number, item in enumerate(value)]
    if items:
        for name, item in items:
            yield from _flat(item, f"{key}.{name}" if key else name)
    else:
        yield key, None if isinstance(value, Mapping | list | tuple) else value


def _is_left_out(key: str, value: Value) -> bool:
    if covers(_LEFT_OUT, key):
        return True
    section, *parts = key.split(".")
    if section not in _SOURCES:
        return False
    name = next((part for part in parts if not part.isdecimal()), "")
    return name in ("root", "tables") or (isinstance(value, str) and name not in _OF_SOURCE)


def covers(keys: tuple[str, ...], key: str) -> bool:
    """Whether a key is one of some keys, or below one of them.

    A part that is `*` stands for any one part: `patch_training.stages.*.epochs`.

    Args:
        keys: Keys, with dots.
        key: The key of a setting.
    """
    parts = key.split(".")
    for each in keys:
        pattern = each.split(".")
        pairs = zip(pattern, parts, strict=False)
        if len(pattern) <= len(parts) and all(a in ("*", b) for a, b in pairs):
            return True
    return False


def _without_location(value: Value) -> Value:
    """Return a value without the folder or bucket of a file or model that it names."""
    if not isinstance(value, str) or "/" not in value:
        return value
    # A version of a model by its name: which one it was is in the lineage, by its model id.
    parts = value.rstrip("/").split("/")
    return parts[-2] if parts[-1].isdecimal() and len(parts) > 1 else parts[-1]
