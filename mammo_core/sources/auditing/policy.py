"""The policy of a recipe: which images are used, by what they are.

A package keeps the policy of its training, and scoring applies it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from mammo_core.sources.best_image import IMPLANT_DISPLACED

if TYPE_CHECKING:  # a recipe is read without any codec
    from mammo_core.dicom import ImageMeaning

#: Views and types that are accepted without further ado.
_STANDARD_VIEWS: Final = ("CC", "MLO")
_STANDARD_TYPES: Final = ("ffdm", "film")
#: `on_request`: never trained on, and scored only when asked for.
Action = Literal["accept", "warn", "on_request", "reject"]
FaultAction = Literal["accept", "warn", "reject"]
_SEVERITY: Final[dict[str, int]] = {"accept": 0, "warn": 1, "on_request": 2, "reject": 3}
_TYPE_DEFAULTS: Final[dict[str, Action]] = {
    "synthetic": "warn",
    "contrast low-energy": "on_request",
    "contrast recombined": "reject",
    "tomosynthesis": "reject",
    "other": "reject",
}
_OTHER: Final = "other"


class PlausibilityPolicy(BaseModel):
    """What is done with images whose gray levels cannot be those of a mammogram.

    Each key is `accept`, `warn` (used, with a warning) or `reject`. Scoring gives such an image no
    decision, whatever this says.

    Attributes:
        constant: One gray level, such as all zeros.
        nearly_constant: A few gray levels.
        inverted: A bright background.
        folded: Gray levels that wrap around.
        noise: Neighbors that have nothing in common.
        dark: A small share of the gray range, such as 12-bit values in 16 bits.
        no_breast: Nothing that reaches a side of the picture as a breast does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    constant: FaultAction = "reject"
    nearly_constant: FaultAction = "reject"
    inverted: FaultAction = "reject"
    folded: FaultAction = "reject"
    noise: FaultAction = "reject"
    dark: FaultAction = "warn"
    no_breast: FaultAction = "reject"

    def action(self, code: str) -> FaultAction:
        """Return what is done about a fault.

        Args:
            code: Its code.
        """
        action: FaultAction = getattr(self, code)
        return action


class ImagePolicy(BaseModel):
    """What is done with images that are not plain CC and MLO mammograms.

    Each key is `accept`, `warn` (used, with a warning), `on_request` (never trained on, scored
    only when asked for) or `reject`.

    Attributes:
        views: Views other than CC and MLO: one action, or a mapping of views (`ML`, `XCCL`, …,
            and `other`) to actions; `original` accepts the two classes of the original system,
            in which ML and LM count as CC and SIO counts as MLO.
        modifiers: View modifiers: one action, or a mapping of modifiers (`magnification`, …, and
            `other`) to actions. A displaced implant is not among them: see `implants`.
        types: Image types other than ffdm and film: one action, or a mapping of types to actions.
        implants: Breasts with an implant, displaced or not.
        partial: Partial views of a large breast.
        specimen: Excised tissue.
        burned_in: Pixels with text that could identify the patient.
        for_processing: Raw detector data.
        plausibility: Gray levels that cannot be those of a mammogram.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    views: Action | Literal["original"] | dict[str, Action] = "on_request"
    modifiers: Action | dict[str, Action] = "on_request"
    types: Action | dict[str, Action] = _TYPE_DEFAULTS
    implants: Action = "warn"
    partial: Action = "on_request"
    specimen: Action = "reject"
    burned_in: Action = "warn"
    for_processing: Action = "reject"
    plausibility: PlausibilityPolicy = PlausibilityPolicy()

    @model_validator(mode="after")
    def _require_known_names(self) -> Self:
        from mammo_core.dicom.meanings.views import MODIFIERS, VIEWS

        known = {
            "views": (*VIEWS, _OTHER),
            "modifiers": (*(name for name in MODIFIERS if name != IMPLANT_DISPLACED), _OTHER),
            "types": (*_STANDARD_TYPES, *_TYPE_DEFAULTS),
        }
        for key, names in known.items():
            value = getattr(self, key)
            wrong = sorted(set(value) - set(names)) if isinstance(value, dict) else []
            if wrong:
                raise ValueError(f"images.{key}: expected {', '.join(names)}, not {wrong[0]}")
        return self

    def view_class(self, view: str | None) -> str:
        """Return the class that a view counts as under this policy: CC, MLO, or empty.

        Args:
            view: Short name of a view, or None.
        """
        from mammo_core.dicom.meanings.views import view_class

        return view_class(view, original=self.views == "original") or ""


@dataclass(frozen=True)
class Cause:
    """Why a policy does not simply accept an image.

    Attributes:
        code: The key of the policy, in the singular: view, modifier, type, implant, partial,
            specimen, burned_in, for_processing; or body_part.
        action: What the policy says.
        message: A sentence without a full stop.
    """

    code: str
    action: Action
    message: str


@dataclass(frozen=True)
class Verdict:
    """What a policy says about an image.

    Attributes:
        action: The strictest action of its causes.
        causes: The causes, the strictest first.
    """

    action: Action
    causes: tuple[Cause, ...] = ()

    @property
    def reason(self) -> str:
        """The causes of the action, as one text."""
        return "; ".join(cause.message for cause in self.causes if cause.action == self.action)

    @property
    def code(self) -> str:
        """The code of the first cause of the action; empty for an accepted image."""
        return self.causes[0].code if self.causes else ""


def judge(meaning: "ImageMeaning", policy: ImagePolicy) -> Verdict:
    """Return what a policy says about an image.

    Facts that are unknown, as in a PNG file, are no cause.

    Args:
        meaning: What the image is.
        policy: The policy.
    """
    causes = sorted(_causes(meaning, policy), key=lambda cause: -_SEVERITY[cause.action])
    return Verdict(causes[0].action, tuple(causes)) if causes else Verdict("accept")


def _causes(meaning: "ImageMeaning", policy: ImagePolicy) -> list[Cause]:
    causes: list[tuple[str, Action, str]] = []
    if meaning.body_part not in (None, "breast"):
        causes.append(("body_part", "reject", f"body part {meaning.body_part}"))
    if meaning.for_processing:
        causes.append(("for_processing", policy.for_processing, "For Processing image"))
    if meaning.specimen:
        causes.append(("specimen", policy.specimen, "specimen"))
    if meaning.image_type is not None:
        action = _action(policy.types, meaning.image_type, _STANDARD_TYPES, _TYPE_DEFAULTS)
        causes.append(("type", action, f"image type {meaning.image_type}"))
    if meaning.view is not None:
        causes.append(("view", _view_action(policy, meaning.view), f"view {meaning.view}"))
    for modifier in meaning.view_modifiers:
        if modifier != IMPLANT_DISPLACED:
            causes.append(
                ("modifier", _action(policy.modifiers, modifier), f"view modifier {modifier}")
            )
    if meaning.implant or IMPLANT_DISPLACED in meaning.view_modifiers:
        displaced = IMPLANT_DISPLACED in meaning.view_modifiers
        text = f"implant, {'displaced' if displaced else 'not displaced'}"
        causes.append(("implant", policy.implants, text))
    if meaning.partial_view:
        causes.append(("partial", policy.partial, "partial view"))
    if meaning.burned_in:
        causes.append(("burned_in", policy.burned_in, "burned-in annotation"))
    return [Cause(*cause) for cause in causes if cause[1] != "accept"]


def _view_action(policy: ImagePolicy, view: str) -> Action:
    if policy.views == "original":
        return "accept" if policy.view_class(view) else "on_request"
    return _action(policy.views, view, _STANDARD_VIEWS)


def _action(
    setting: Action | Mapping[str, Action],
    name: str,
    standard: tuple[str, ...] = (),
    defaults: Mapping[str, Action] | None = None,
) -> Action:
    """Return the action for a name: stated, of the standard ones `accept`, or the general one."""
    if isinstance(setting, str):
        return "accept" if name in standard else setting
    if name in setting:
        return setting[name]
    if name in standard:
        return "accept"
    return (defaults or {}).get(name) or setting.get(_OTHER, "on_request")
