"""The kinds of outputs of experiments: the scores of a trial, and the result of all of them."""

from mammo_core.datasets.kinds import Facts, Kind, register_kind


class TrialFacts(Facts):
    """Facts of a trial.

    Attributes:
        name: Name of the trial within its experiment.
        trained_on: Number of images that its network was trained on.
    """

    name: str
    trained_on: int


class ExperimentFacts(Facts):
    """Facts of a finished experiment.

    Attributes:
        kind: The kind of experiment.
        conclusion: The conclusion, in a sentence.
    """

    kind: str
    conclusion: str


TRIAL = register_kind(Kind("trials", 1, TrialFacts))
EXPERIMENT = register_kind(Kind("experiments", 1, ExperimentFacts))
