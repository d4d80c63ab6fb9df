"""The license of a data set and what it forbids: carried into packages, and enforced there.

Who pushes, serves or exports in spite of terms that forbid it acknowledges them by their name: that
is somebody's decision, and not an accident.
"""

import os
from collections.abc import Iterable
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from mammo_core.errors import SourceError

#: Names of acknowledged terms, separated by commas; for containers.
ENVIRONMENT: Final = "MAMMO_ACKNOWLEDGED"

#: What terms may forbid: to serve a model that was fitted to the data, to pass such a model on, to
#: pass the images on; `redistribution` is both of the latter.
Use = Literal["serving", "redistribution", "model_redistribution", "image_redistribution"]
_WORDS: Final = {
    "serving": "serving a model that was fitted to it",
    "redistribution": "passing on its images, and models that were fitted to it",
    "model_redistribution": "passing on a model that was fitted to it",
    "image_redistribution": "passing on its images",
}


class Terms(BaseModel):
    """The license and terms of a data set.

    Args:
        name: By what they are acknowledged.
        license: The license or agreement, in words.
        url: Where it is.
        conditions: What it asks for, such as attribution.
        forbids: What it forbids: `serving`, `redistribution`, `model_redistribution`,
            `image_redistribution`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    license: str = Field(min_length=1)
    url: str = ""
    conditions: tuple[str, ...] = ()
    forbids: tuple[Use, ...] = ()

    def forbidden(self, use: Use) -> bool:
        """Return whether they forbid something.

        Args:
            use: What.
        """
        is_passing_on = use in ("model_redistribution", "image_redistribution")
        return use in self.forbids or (is_passing_on and "redistribution" in self.forbids)

    def text(self) -> str:
        """Return the terms in a line."""
        parts = [self.license, *self.conditions]
        parts += [f"forbids {_WORDS[use]}" for use in self.forbids]
        address = f" ({self.url})" if self.url else ""
        return f"{self.name}: {'; '.join(parts)}{address}"


def acknowledged_names(*names: Iterable[str]) -> frozenset[str]:
    """Return the names of acknowledged terms, with those of the environment.

    Args:
        *names: Names that were acknowledged elsewhere.
    """
    stated = os.environ.get(ENVIRONMENT, "").split(",")
    return frozenset(name.strip() for group in (stated, *names) for name in group if name.strip())


def require_allowed(
    terms: Iterable[Terms], use: Use, acknowledged: Iterable[str], action: str
) -> None:
    """Refuse what terms forbid, unless they were acknowledged.

    Args:
        terms: Terms of all data that something was made of.
        use: What is about to be done.
        acknowledged: Names of acknowledged terms.
        action: What cannot be done, for the message: `The model a cannot be served`.

    Raises:
        SourceError: Terms forbid it, and were not acknowledged.
    """
    names = set(acknowledged)
    forbidding = [one for one in terms if one.forbidden(use) and one.name not in names]
    if forbidding:
        first = forbidding[0]
        raise SourceError(
            f"{action}: the terms of {', '.join(one.name for one in forbidding)} forbid it",
            expected=f"data whose terms allow {_WORDS[use]}",
            received=first.text(),
            hint=f"Who may do it all the same says so: --acknowledge {first.name}, "
            f"{ENVIRONMENT}={first.name}, or in a recipe source.acknowledged: [{first.name}]",
        )
