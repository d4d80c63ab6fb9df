"""Test images as a package takes them: from the source files, by its own conversion."""

from dataclasses import replace
from typing import Any

from mammo_core.errors import SourceError
from mammo_core.scoring.files import InputFile, StatedView
from mammo_core.scoring.images import DecodedImage, Reject, decode_file
from mammo_core.scoring.model import ScoringModel
from mammo_core.sources.files.source_files import SourceFiles

#: Columns of a row of the table of images that scores depend on.
COLUMNS = (
    *("image_id", "path", "patient_key", "exam_key", "laterality", "view", "view_modifiers"),
    "acquisition_order",
)


def read_source_image(row: Any, source: SourceFiles, model: ScoringModel) -> DecodedImage | Reject:
    """Read an image as `mammo score` does, with patient, exam, side and view of the table.

    Args:
        row: A row with `COLUMNS` as attributes.
        source: The files of the source.
        model: The model, of one package.

    Returns:
        The image under its image id, or why the package does not score it.

    Raises:
        SourceError: The file is gone, or not the one that was indexed.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    modifiers = tuple(filter(None, str(row.view_modifiers or "").split("+")))
    stated = StatedView(row.laterality, row.view or "", modifiers)
    file = InputFile(row.path, source=source, stated=stated)
    try:
        image = decode_file(file, model.preprocessings, None, model.policy_rule())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _changed_error(row, "no such file") from error
    if isinstance(image, Reject):
        return image
    if source.content_id(image.digest) != row.image_id:
        raise _changed_error(row, f"SHA-256 {image.digest}")
    return replace(
        image,
        digest=row.image_id,
        patient=row.patient_key,
        exam=row.exam_key,
        acquired=("", int(row.acquisition_order)),
    )


def _changed_error(row: Any, received: str) -> SourceError:
    return SourceError(
        f"The file {row.path} changed since it was indexed",
        expected=f"the file of the image {row.image_id}",
        received=received,
        hint="run the same pipeline again: it indexes the files first",
    )
