"""What the gate decides on."""

from dataclasses import dataclass

from mammo_core.datasets import Manifest
from mammo_core.evaluation.config import EvaluationConfig
from mammo_core.registry.config import GateConfig


@dataclass(frozen=True)
class DecisionInputs:
    """What the gate decides on, and how.

    Attributes:
        name: Name of the model.
        evaluation: The evaluation of the challenger.
        duel: The duel.
        gate: The conditions.
        config: How the page of the comparison is computed.
        seed: Seed of the bootstrap.
    """

    name: str
    evaluation: Manifest
    duel: Manifest
    gate: GateConfig
    config: EvaluationConfig
    seed: int
