"""The kinds of outputs about releases: decisions of the gate, and pushed versions."""

from typing import Any

from mammo_core.datasets.kinds import Facts, Kind


class GateFacts(Facts):
    """Facts of a release decision.

    Attributes:
        passed: Whether the model may be pushed.
        reasons: Why, one sentence each.
    """

    passed: bool
    reasons: tuple[str, ...]


class PushFacts(Facts):
    """Facts of a pushed version.

    Attributes:
        model_uri: URI of the version.
        version: Its number.
        model_id: Id of the model.
        registered: Its entry in the Kubeflow model registry; None without one.
    """

    model_uri: str
    version: int
    model_id: str
    registered: dict[str, Any] | None = None


GATE = Kind("gates", 4, GateFacts, intermediate=True, judges="evaluation")
#: The record of a push; the registry holds the version itself.
PUSH = Kind("pushes", 1, PushFacts, intermediate=True, judges="image_training")
