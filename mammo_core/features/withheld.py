"""Patients who are on no side although they have images, in words for report, card and gate."""

from collections.abc import Mapping


def withheld_lines(withheld: Mapping[str, int]) -> list[str]:
    """Return a sentence for each cause.

    Args:
        withheld: As `FrameFacts.withheld`.
    """
    lines = []
    if fitted := withheld.get("seen_by_ancestors"):
        images = withheld.get("images_seen_by_ancestors", 0)
        lines.append(
            f"{fitted} patients with {images} images are left out of the test set: a model that "
            "training started from was fitted to them"
        )
    if tested := withheld.get("tested_before"):
        lines.append(
            f"{tested} patients are in neither training nor validation: they were in a test set of "
            "this model or of one that it was started from"
        )
    if copies := withheld.get("copies_on_another_side"):
        lines.append(
            f"{copies} patients are left out: their images are copies of those of another patient, "
            "who is on a side that the model is fitted to"
        )
    return lines
