"""decision.json: the decision of the gate that released a version, in its package and signed.

It continues chain.json from the candidate over the duel to the decision: `registry.audit`.
"""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from mammo_core.packaging.chain import Link
from mammo_core.registry.change_plan.changes import Change
from mammo_core.registry.change_plan.plan import ChangePlan

DECISION: Final = "decision.json"


class ReleaseDecision(BaseModel):
    """The decision that released a version.

    Attributes:
        model_id: The model that was decided about.
        champion: Model id of the champion that it was compared with; empty if there was none.
        decision: What was decided.
        reasons: Why, one sentence each.
        gate: The settings of the gate, without its plan.
        plan: The change-control plan; None if there was none.
        changes: The changes from the champion that the plan decided about.
        links: The candidate, the duel with its scores, and the decision, by the digests of their
            manifests.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_id: str
    champion: str = ""
    decision: str
    reasons: tuple[str, ...]
    gate: dict[str, Any]
    plan: ChangePlan | None = None
    changes: tuple[Change, ...] = ()
    links: tuple[Link, ...]
