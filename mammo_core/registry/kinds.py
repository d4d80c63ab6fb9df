"""The kinds of outputs about releases: decisions of the gate, and pushed versions."""

from mammo_core.datasets.kinds import Facts, Kind, register_kind


class GateFacts(Facts):
    """Facts of a release decision.

    Attributes:
        passed: Whether the model may be pushed.
        decision: `push`, `stop` or `cannot compare`.
        reasons: Why, one sentence each.
    """

    passed: bool
    decision: str
    reasons: tuple[str, ...]


class PushFacts(Facts):
    """Facts of a pushed version.

    Attributes:
        model_uri: URI of the version.
        version: Its number.
        model_id: Id of the model.
    """

    model_uri: str
    version: int
    model_id: str


GATE = register_kind(Kind("gates", 5, GateFacts, intermediate=True, judges="evaluation"))
#: The record of a push; the registry holds the version itself.
PUSH = register_kind(Kind("pushes", 2, PushFacts, intermediate=True, judges="image_training"))
