"""Label maps: the lesions of each class of patches. Data, not code."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: The classes of lesions in a frame: type and pathology.
LESION_CLASSES = ("calc_ben", "calc_mal", "mass_ben", "mass_mal")
BACKGROUND = "background"

#: The label maps by name, with classes in the order of a network's outputs: the five classes of
#: the paper, and two sets of three classes. With `masses`, patches of calcifications have no label
#: and are left out. Source: docs/original-system.md, "Patch sampling".
LABEL_MAPS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "five-classes": {BACKGROUND: (), **{name: (name,) for name in LESION_CLASSES}},
        "malignancy": {
            BACKGROUND: (),
            "malignant": ("calc_mal", "mass_mal"),
            "benign": ("calc_ben", "mass_ben"),
        },
        "masses": {BACKGROUND: (), "mass_ben": ("mass_ben",), "mass_mal": ("mass_mal",)},
    }
)


class PatchClass(BaseModel):
    """A class of patches.

    Attributes:
        name: Name of the class.
        lesions: Its lesion classes; none for the class of patches without lesion.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    lesions: tuple[str, ...]


class LabelMap(BaseModel):
    """The classes of a patch classifier.

    A recipe has the name of one of LABEL_MAPS, or `classes` as a mapping of names to lesion
    classes. Classes are stored as a list, because their order matters.

    Attributes:
        classes: In the order of the network's outputs. The first one has no lesion classes: it
            is the background.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: tuple[PatchClass, ...]

    @model_validator(mode="before")
    @classmethod
    def _read(cls, values: Any) -> Any:
        if isinstance(values, str):
            if values not in LABEL_MAPS:
                raise ValueError(f"unknown label map {values!r}: one of {', '.join(LABEL_MAPS)}")
            values = {"classes": LABEL_MAPS[values]}
        if isinstance(values, Mapping) and isinstance(values.get("classes"), Mapping):
            named = values["classes"].items()
            return {
                **values,
                "classes": [{"name": name, "lesions": lesions} for name, lesions in named],
            }
        return values

    @model_validator(mode="after")
    def _validate_classes(self) -> "LabelMap":
        lesions = [lesion for patch_class in self.classes for lesion in patch_class.lesions]
        first, *others = [patch_class.lesions for patch_class in self.classes] or [("",)]
        if first or not others or not all(others):
            raise ValueError(
                "a label map has two or more classes: the first without lesions, each other one "
                f"with at least one; received {self.classes}"
            )
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"class names of a label map are unique; received {self.names}")
        if len(set(lesions)) < len(lesions) or set(lesions) - set(LESION_CLASSES):
            raise ValueError(
                f"a lesion class is one of {', '.join(LESION_CLASSES)}, and only in one class; "
                f"received {lesions}"
            )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the network's outputs."""
        return tuple(patch_class.name for patch_class in self.classes)

    def index(self, lesion_class: str) -> int | None:
        """Return the class index of a lesion class (`mass_mal`, …); None if it is left out.

        Args:
            lesion_class: One of LESION_CLASSES, or `background`.
        """
        if lesion_class == BACKGROUND:
            return 0
        for index, patch_class in enumerate(self.classes):
            if lesion_class in patch_class.lesions:
                return index
        return None


FIVE_CLASSES = LabelMap.model_validate("five-classes")
