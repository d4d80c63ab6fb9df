"""What `mammo dicom inspect` reports of a file, and the picture that it writes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mammo_core.dicom.facts import ImageFacts, Mammogram, require_mammogram
from mammo_core.dicom.read import read_facts, read_image, read_rejected_facts
from mammo_core.errors import DicomError

#: The facts that are reported, in their order.
FACTS: Final = (
    "transfer_syntax", "photometric", "modality", "manufacturer", "rows", "columns", "bits_stored",
    "laterality", "view", "view_modifiers", "view_class", "image_type", "implant", "partial_view",
    "specimen", "body_part", "for_processing", "burned_in", "patient_identity_removed",
    "patient_orientation", "paddle", "magnification_factor", "spacing_mm", "area_mm2", "warnings",
)  # fmt: skip


@dataclass(frozen=True)
class Inspection:
    """What a file is, or why it cannot be read as a mammogram.

    Args:
        reason: Why it cannot; None if it can.
        facts: What its header and its pixels say; None if it has no header of an image.
        image: The decoded image, if the pixels were read.
    """

    reason: str | None
    facts: ImageFacts | None
    image: Mammogram | None = None

    def report(self) -> dict[str, Any]:
        """Return `readable`, `reason` and the facts; facts that are unknown are None."""
        values = self.facts.model_dump(mode="json") if self.facts else {}
        return {
            "readable": self.reason is None,
            "reason": self.reason,
            **{name: values.get(name) for name in FACTS},
        }


def inspect_file(path: Path, *, headers_only: bool = False, lossy_jpeg: bool = False) -> Inspection:
    """Read a file as the pipeline reads it.

    Args:
        path: The file.
        headers_only: Whether to skip the pixels; then faults of the pixels are not reported.
        lossy_jpeg: Whether to read JPEG pictures, as a source with the option `lossy_jpeg` does.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise DicomError(
                f"{path} is not a file", expected="a file", received="a device or pipe"
            )
        if headers_only:
            facts = read_facts(path, lossy_jpeg=lossy_jpeg)
            require_mammogram(facts, str(path))
            return Inspection(None, facts)
        image = read_image(path, mammogram=True, lossy_jpeg=lossy_jpeg)
        return Inspection(None, image.facts, image)
    except DicomError as error:
        return Inspection(str(error), _rejected_facts(path))
    except OSError as error:
        return Inspection(f"{path} cannot be read: {error.strerror or error}.", None)


def _rejected_facts(path: Path) -> ImageFacts | None:
    try:
        return read_rejected_facts(path) if path.is_file() else None
    except OSError:
        return None


class PictureFolder:
    """A folder of pictures as the pipeline sees them before resizing.

    Args:
        folder: The folder; it is created.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: set[Path] = set()

    def write(self, name: Path, inspection: Inspection) -> Path | None:
        """Write the picture of a file: a gray PNG of 16 bits, `(h, w)`, [0, 65535], black is 0.

        Args:
            name: Name of the file below the folder that is inspected; the picture has it with the
                suffix `.png`, after the whole name if another file has that name already.
            inspection: What was read.

        Returns:
            The picture; None if the file could not be read.

        Raises:
            OSError: The disk failed.
        """
        import cv2

        from mammo_core.imaging import to_full_range

        if inspection.image is None:
            return None
        target = self._folder / name.with_suffix(".png")
        if target in self._written:
            target = self._folder / name.parent / f"{name.name}.png"
        self._written.add(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        image = inspection.image
        pixels = to_full_range(image.pixels, image.facts.bits_stored)
        _, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        part = target.with_name(f"{target.name}.part")
        part.write_bytes(data.tobytes())
        part.replace(target)
        return target
