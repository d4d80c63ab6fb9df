"""The kind of output that a site's acceptance of a model is."""

from datetime import date

from mammo_core.datasets.kinds import Facts, Kind, register_kind


class AcceptanceFacts(Facts):
    """Facts of an acceptance.

    Attributes:
        site: Name of the site.
        accepted_on: The day.
        accepted: Whether every check was passed.
        model_name: Name of the model.
        model_version: Its version; None for a package that was never pushed.
        model_id: Its model id.
        signed_by: Id of the key that signed the record, or `unsigned`.
    """

    site: str
    accepted_on: date
    accepted: bool
    model_name: str
    model_version: int | None
    model_id: str
    signed_by: str


ACCEPTANCE = register_kind(Kind("acceptances", 1, AcceptanceFacts))
