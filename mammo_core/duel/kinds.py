"""The kinds of outputs of a duel."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from mammo_core.datasets.kinds import Facts, Kind, register_kind
from mammo_core.evaluation.aggregate import Aggregation, Unit

#: Whether the two were compared, or why there was nothing to compare.
DuelState = Literal[
    "compared", "no champion", "already the champion", "permuted labels", "no images"
]


class PackageScoreFacts(Facts):
    """Facts of the scores of one package.

    Attributes:
        model_id: Id of the model.
    """

    model_id: str


class Contestant(BaseModel):
    """One of the two packages.

    Attributes:
        name: Its name in messages.
        model_id: Id of the model.
        unit: What it takes at once.
        aggregation: How its probabilities are aggregated to breasts.
        fitted_test_patients: Test patients that it was fitted to, or a package that it was
            started from.
        unknown: Why there may be more of them, one sentence each.
        not_scored: Images of the other patients that it does not score.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    model_id: str
    unit: Unit = "image"
    aggregation: Aggregation = Aggregation()
    fitted_test_patients: int = 0
    unknown: tuple[str, ...] = ()
    not_scored: int = 0


class DuelFacts(Facts):
    """Facts of a duel.

    Attributes:
        state: Whether the two were compared, or why not.
        challenger: The model of this run.
        champion: The model in force; None if there is none.
        test_patients: Number of test patients.
        left_out: Number of those that one of the two has seen.
        patients: Number of patients with an image that both scored.
    """

    state: DuelState
    challenger: Contestant
    champion: Contestant | None = None
    test_patients: int = 0
    left_out: int = 0
    patients: int = 0


DUEL = register_kind(Kind("duels", 2, DuelFacts, intermediate=True, judges="evaluation"))
#: The probabilities of one package, found again by the next duel on the same images.
PACKAGE_SCORES = register_kind(Kind("duels/scores", 1, PackageScoreFacts, intermediate=True))
