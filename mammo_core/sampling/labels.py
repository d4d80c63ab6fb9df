"""Label maps: which lesions make which class of patches. Data, not code."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: What a lesion of a frame can be: type and pathology.
LESION_CLASSES = ("calc_ben", "calc_mal", "mass_ben", "mass_mal")
BACKGROUND = "background"

#: The label maps in use (original-system.md §3.6, 3.7), classes in the order of the outputs:
#: the paper's five; the two sets of three. Under `masses`, patches of calcifications have no
#: label and are left out.
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
        name: Its name.
        lesions: The lesion classes it takes in; none: patches without lesion.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    lesions: tuple[str, ...]


class LabelMap(BaseModel):
    """The classes of a patch classifier.

    A recipe gives the name of one of LABEL_MAPS, or `classes` as a mapping of names to lesion
    classes; it is kept as a list, because the order counts.

    Attributes:
        classes: In the order of the network's outputs. The first one takes no lesion: it is
            that of background.
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
            return {**values, "classes": [{"name": n, "lesions": of} for n, of in named]}
        return values

    @model_validator(mode="after")
    def _usable(self) -> "LabelMap":
        taken = [lesion for one in self.classes for lesion in one.lesions]
        first, *others = [one.lesions for one in self.classes] or [("",)]
        if first or not others or not all(others):
            raise ValueError(
                "a label map has two classes or more; the first takes no lesion, each other "
                f"at least one; received {self.classes}"
            )
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"the classes of a label map differ; received {self.names}")
        if len(set(taken)) < len(taken) or set(taken) - set(LESION_CLASSES):
            raise ValueError(
                f"a lesion class is one of {', '.join(LESION_CLASSES)}, and in one class only; "
                f"received {taken}"
            )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, in the order of the network's outputs."""
        return tuple(one.name for one in self.classes)

    def index(self, lesion_class: str) -> int | None:
        """Return the class index of a lesion class (`mass_mal`, …); None: left out.

        Args:
            lesion_class: One of LESION_CLASSES, or `background`.
        """
        if lesion_class == BACKGROUND:
            return 0
        for index, one in enumerate(self.classes):
            if lesion_class in one.lesions:
                return index
        return None


FIVE_CLASSES = LabelMap.model_validate("five-classes")
