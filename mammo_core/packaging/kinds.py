"""The kind of output that is a package before its release."""

from mammo_core.datasets.kinds import Facts, Kind, register_kind
from mammo_core.evaluation.aggregate import Unit


class CandidateFacts(Facts):
    """Facts of a candidate.

    Attributes:
        model_id: Id of the model.
        name: Name of the model as it was built.
        unit: What it takes at once.
    """

    model_id: str
    name: str
    unit: Unit


#: Packages without name, version and signature in a registry; `push` adds these.
CANDIDATE = register_kind(Kind("candidates", 2, CandidateFacts, intermediate=True))
