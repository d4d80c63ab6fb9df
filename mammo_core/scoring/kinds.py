"""The kind of output that the step `score` publishes."""

from mammo_core.datasets.kinds import Facts, Kind, register_kind


class ScoreFacts(Facts):
    """Facts of scores.

    Attributes:
        model_uri: The model as it was requested.
        model_name: Name of the model.
        warned: Number of images that were scored with a warning.
    """

    model_uri: str
    model_name: str
    warned: int


SCORES = register_kind(Kind("scores", 5, ScoreFacts))
