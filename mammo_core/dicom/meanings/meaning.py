"""What an image is: view, modifiers, type and circumstances, as its header states them."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from mammo_core.dicom.meanings.views import Laterality, ViewClass, view_class

ImageType = Literal[
    "ffdm",
    "synthetic",
    "film",
    "contrast low-energy",
    "contrast recombined",
    "tomosynthesis",
    "other",
]


class ImageWarning(BaseModel):
    """Something about an image that a reader must know and that does not make it unreadable.

    Args:
        code: A word for programs, such as `conflict`; listed in docs/dicom.md.
        message: A sentence for people, without any value of the patient.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    message: str


class ImageMeaning(BaseModel):
    """What an image is. Tables, frames, scores and `inspect` use these names.

    Every text is a word of a list in this package: text of a header is never repeated. Facts that
    the header does not state are None.

    Args:
        view: Short name of a view of PS3.16 CID 4014: CC, MLO, ML, LM, LMO, XCCL, XCCM, FB, SIO,
            ISO, or the retired XCC; None if the header names none.
        view_modifiers: Modifiers of PS3.16 CID 4015 in alphabetical order, such as
            `implant displaced`, `magnification`.
        view_class: CC for CC, XCCL, XCCM and FB; MLO for MLO and LMO; None for the rest. Follows
            from `view`.
        laterality: LEFT, RIGHT or None.
        image_type: What kind of picture; None for a file that does not say so, such as a PNG.
        implant: Whether the breast contains an implant.
        partial_view: Whether the image shows a part of a breast that is larger than the detector.
        specimen: Whether the image shows excised tissue.
        body_part: `breast`, another body part of PS3.16 Annex L in lower case, or `other`.
        for_processing: Whether the image is raw detector data instead of an image for reading.
        burned_in: Whether the pixels contain text that could identify the patient (0028,0301).
        patient_identity_removed: Whether the file was de-identified (0012,0062).
        patient_orientation: Direction of rows and of columns (0020,0020), such as `A/F`.
        paddle: The compression paddle, in words of our list, such as `spot` or `18x24`.
        magnification_factor: Size at the detector by size in the breast: (0018,1114), or the ratio
            of distances that defines it.
        area_mm2: Area of the image at the detector in mm².
        warnings: What a reader must know.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    view: str | None = None
    view_modifiers: tuple[str, ...] = ()
    view_class: ViewClass | None = None
    laterality: Laterality | None = None
    image_type: ImageType | None = None
    implant: bool | None = None
    partial_view: bool = False
    specimen: bool = False
    body_part: str | None = None
    for_processing: bool = False
    burned_in: bool | None = None
    patient_identity_removed: bool | None = None
    patient_orientation: str | None = None
    paddle: str | None = None
    magnification_factor: float | None = None
    area_mm2: float | None = None
    warnings: tuple[ImageWarning, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _derive_view_class(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("view_class") is None:
            return {**values, "view_class": view_class(values.get("view"))}
        return values

    def with_view(self, view: str | None, laterality: Laterality | None) -> Self:
        """Return these facts with another view and side, for a file whose name states them.

        Args:
            view: Short name of a view of CID 4014.
            laterality: LEFT, RIGHT or None.
        """
        update = {"view": view, "view_class": view_class(view), "laterality": laterality}
        return self.model_copy(update=update)
