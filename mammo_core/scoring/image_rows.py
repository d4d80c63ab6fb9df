"""The rows of images, without their scores."""

from collections.abc import Iterable
from typing import Any

from mammo_core.dicom import ImageWarning
from mammo_core.scoring.domain import domain_warnings
from mammo_core.scoring.images import DecodedImage
from mammo_core.scoring.model import ScoringModel
from mammo_core.scoring.tables import MEANING_COLUMNS


def image_row(model: ScoringModel, image: DecodedImage) -> dict[str, Any]:
    """Return the row of an image without its score; the warnings are those of all packages."""
    facts = image.facts
    domain = [
        warning
        for package in model.packages
        for warning in domain_warnings(facts, package.training_data, package.preprocessing)
    ]
    return {
        "id": image.digest,
        "path": image.name,
        "laterality": facts.laterality or "",
        "view": facts.view or "",
        "model_id": model.model_id,
        "patient": image.patient,
        "exam": image.exam,
        "rows": facts.rows,
        "columns": facts.columns,
        "bits_stored": facts.bits_stored,
        "spacing_mm": facts.spacing_mm,
        "transfer_syntax": facts.transfer_syntax,
        "photometric": facts.photometric,
        "manufacturer": facts.manufacturer,
        **{
            name: value
            for name, value in facts.model_dump(mode="json").items()
            if name in MEANING_COLUMNS
        },
        "unlike_training": [item.row() for item in image.unlike],
        "warnings": warning_list((*domain, *image.warnings)),
    }


def warning_list(warnings: Iterable[ImageWarning]) -> list[dict[str, str]]:
    """Return warnings as rows keep them: `code` and `message`, each once.

    Args:
        warnings: The warnings.
    """
    return [warning.model_dump() for warning in dict.fromkeys(warnings)]
