"""`Preprocessing`: the only path from pixels to a network.

It is built once from a dataset (conversion, geometry, bit depth) and a frame (intensity, mean),
frozen into the model package, and used by training, evaluation, scoring and serving alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mammo_core import imaging
from mammo_core.errors import RecipeError
from mammo_core.imaging import options
from mammo_core.imaging.crop import CropPlacement

if TYPE_CHECKING:  # a recipe is read without NumPy
    import numpy as np

    Images = np.ndarray[Any, np.dtype[np.uint16]]
    Pixels = np.ndarray[tuple[int, ...], np.dtype[Any]]

RESCALE_FACTOR = 255 / options.FULL_RANGE
"""Scales the full 16-bit range to [0, 255] (the original rounds it to 0.003891)."""

TARGET_SCALE = 255.0
"""Value of the brightest pixel under `image_max` (--img-scale of the original)."""

#: Share of an image from which its breast is the whole image: no background was found.
_WHOLE_IMAGE = 0.99

Intensity = Literal["rescale", "image_max"]


class Conversion(BaseModel):
    """How a decoded image is converted to full range, before it is resized.

    The order is: stretch, median filter, artifacts, pectoral muscle, crop, orientation.

    Args:
        stretch: `bit_depth` (the stored range to the full range: equal levels stay equal
            between images), `min_max` (the range of each image) or `none`.
        voi: Whether the file's own window or VOI look-up table is applied when it is read.
        for_processing: Whether For Processing images (raw detector data) are accepted.
        lossy_jpeg: Whether JPEG pictures are read; a recipe takes it from its source.
        median_filter: Side of a median filter in pixels: 0 (none), 3 or 5.
        suppress_artifacts: Whether everything but the largest object is set to black.
        remove_pectoral: Whether the pectoral muscle is set to black too; experimental.
        crop_to_breast: Whether the image is cropped to the breast's bounding box and everything
            else in it set to black; masks are cropped alike.
        orientation: `as_stored`, or the side of the chest wall in all images (`chest_left`,
            `chest_right`), by the tissue or, if that is unclear, by the laterality.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stretch: options.Stretch = "bit_depth"
    voi: bool = False
    for_processing: bool = False
    lossy_jpeg: bool = Field(default=False, exclude_if=lambda read: not read)  # keeps older ids
    median_filter: Literal[0, 3, 5] = 0
    suppress_artifacts: bool = False
    remove_pectoral: bool = False
    crop_to_breast: bool = False
    orientation: options.Orientation = "as_stored"

    def apply(
        self, pixels: Pixels, bits_stored: int, laterality: str = ""
    ) -> tuple[Images, CropPlacement]:
        """Convert a decoded image that was read with this `voi` and `for_processing`.

        Args:
            pixels: (h, w) uint8 or uint16, [0, 2**bits_stored - 1], black is 0.
            bits_stored: Bits of that range.
            laterality: `LEFT`, `RIGHT`, or anything else for unknown.

        Returns:
            (h', w') uint16, [0, 65535], and its crop and flip, with notes.

        Raises:
            RecipeError: Levels are outside the stored range, or no breast is found.
        """
        import numpy as np

        converted: Pixels = imaging.stretch(pixels, bits_stored, self.stretch)
        if self.median_filter:
            converted = imaging.median_filter(converted, self.median_filter)
        notes: list[tuple[str, str]] = []
        background = imaging.background_level(converted) if self._finds_breast else 0
        if self.suppress_artifacts or self.remove_pectoral:
            clean, breast = imaging.suppress_artifacts(converted, background=background)
            if breast.mean() > _WHOLE_IMAGE:
                notes.append(("artifacts_kept", "Artifacts are not suppressed: no background"))
            converted = clean if self.suppress_artifacts else converted
            if self.remove_pectoral:
                converted, _ = imaging.remove_pectoral(converted, breast)
        box, whole = None, converted.size
        if self.crop_to_breast:
            if self.suppress_artifacts:
                background = 0  # it is black now
            converted, box = imaging.segment_breast(converted, background=background)
            if np.count_nonzero(converted) > _WHOLE_IMAGE * whole:
                notes.append(("not_cropped", "The image is not cropped: no background"))
        flip = imaging.needs_flip(converted, laterality, self.orientation)
        placement = CropPlacement(box, flip, tuple(notes))
        return CropPlacement(flipped=flip).apply(converted), placement

    @property
    def _finds_breast(self) -> bool:
        return self.suppress_artifacts or self.remove_pectoral or self.crop_to_breast


class IntensityConfig(BaseModel):
    """How gray levels are scaled for a network; set by the recipe, stored in the frame.

    Args:
        regime: `rescale` (every pixel times one factor, as in the published models) or
            `image_max` (the maximum of each image to `target_scale`). As in the original, a
            patch counts as an image here.
        target_scale: Value of the maximum under `image_max`; not used under `rescale`.
        equalize: Whether the histogram of each image is equalized (in the original together
            with image_max).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    regime: Intensity = "rescale"
    target_scale: float = Field(default=TARGET_SCALE, gt=0)
    equalize: bool = False

    @model_validator(mode="after")
    def _one_regime(self) -> Self:
        if self.regime == "rescale" and self.target_scale != TARGET_SCALE:
            raise ValueError("target_scale belongs to the regime image_max")
        return self

    def mean(self, statistics: dict[str, Any]) -> float:
        """Return the mean pixel of images as `Preprocessing` passes them to a network.

        Args:
            statistics: Statistics of n images, arrays (n,): `mean` and `maximum`, [0, 65535], and
                `equalized_mean` and `equalized_image_max_mean`, [0, 255].
        """
        import numpy as np

        if self.equalize:
            name = "equalized_mean" if self.regime == "rescale" else "equalized_image_max_mean"
            values = np.asarray(statistics[name], np.float64)
            return float(values.mean()) * (self.target_scale / TARGET_SCALE)
        values = np.asarray(statistics["mean"], np.float64)
        if self.regime == "rescale":
            return float(values.mean()) * RESCALE_FACTOR
        top = np.asarray(statistics["maximum"], np.float64)
        return float((values / np.where(top > 0, top, 1)).mean()) * self.target_scale


class Geometry(BaseModel):
    """The size that images are resized to, and how.

    Args:
        height: Rows, in pixels.
        width: Columns, in pixels; not used when `resize` is `height`.
        resize: `forced` (aspect ratio not kept, as in the published models), `height` (kept,
            the width follows) or `pad` (kept, zeros at the bottom and on the right).
        interpolation: `area`, `cubic` or `linear`.
        masks: `nearest`: the nearest pixel; `cubic`: every value above 0 after a cubic resize,
            as in the original (masks grow by about a pixel).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    height: int = Field(ge=1, le=32768)
    width: int = Field(ge=1, le=32768)
    resize: options.Resize = "forced"
    interpolation: options.Interpolation = "area"
    masks: options.MaskInterpolation = "nearest"

    def apply(self, pixels: Pixels) -> Pixels:
        """Resize an image.

        Args:
            pixels: (h, w) uint8, uint16 or float32.

        Returns:
            (height, width), dtype of `pixels`.
        """
        return imaging.resize(pixels, self.height, self.width, self.resize, self.interpolation)

    def apply_mask(self, mask: Pixels) -> Pixels:
        """Resize a mask.

        Args:
            mask: (h, w) uint8, uint16 or bool.

        Returns:
            (height, width), dtype of `mask`; above 0 inside, no new values where `masks` is
            `nearest`.
        """
        return imaging.resize_mask(mask, self.height, self.width, self.resize, self.masks)

    def scale(self, rows: int, columns: int) -> tuple[float, float]:
        """Return how source coordinates map to the result.

        Args:
            rows: Rows of the source image.
            columns: Columns of the source image.

        Returns:
            (vertical, horizontal) factor; the origin does not move.
        """
        scaled, _ = imaging.output_size((rows, columns), self.height, self.width, self.resize)
        return scaled[0] / rows, scaled[1] / columns


class Preprocessing(BaseModel):
    """All processing between a decoded image and the input of a network.

    Args:
        geometry: Size and resize mode.
        bit_depth: Bits of gray levels: 16, or 8 (256 levels spread over the full range, so that
            the other parameters stay the same).
        mean: Mean pixel of the rescaled training images, in units of the rescaled range.
        rescale_factor: Factor of full-range pixels; regime `rescale` only.
        equalize: Whether the histogram of each image is equalized first.
        channels: 1, or 3 equal channels.
        intensity: `rescale` or `image_max`, see `IntensityConfig`.
        target_scale: Value of each image's brightest pixel under `image_max`.
        conversion: The conversion of a decoded image before it is resized.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    geometry: Geometry
    bit_depth: Literal[8, 16] = 16
    mean: float
    rescale_factor: float = Field(default=RESCALE_FACTOR, gt=0)
    equalize: bool = False
    channels: Literal[1, 3] = 1
    intensity: Intensity = "rescale"
    target_scale: float = Field(default=TARGET_SCALE, gt=0)
    conversion: Conversion = Conversion()

    @model_validator(mode="after")
    def _one_regime(self) -> Self:
        if self.intensity == "image_max" and self.rescale_factor != RESCALE_FACTOR:
            raise ValueError("image_max uses target_scale and not rescale_factor")
        if self.intensity == "rescale" and self.target_scale != TARGET_SCALE:
            raise ValueError("rescale uses rescale_factor and not target_scale")
        return self

    def from_source(self, pixels: Pixels, bits_stored: int, laterality: str = "") -> Images:
        """Convert and resize a decoded image to an image of a dataset.

        Args:
            pixels: (h, w) uint8 or uint16, [0, 2**bits_stored - 1]; read with `voi` and
                `for_processing` of `conversion`.
            bits_stored: Bits of that range.
            laterality: `LEFT`, `RIGHT`, or anything else for unknown.

        Returns:
            (H, W) uint16, [0, 65535].

        Raises:
            RecipeError: Levels are outside the stored range, or no breast is found.
        """
        return self.to_geometry(self.conversion.apply(pixels, bits_stored, laterality)[0])

    def to_geometry(self, pixels: Pixels) -> Images:
        """Resize an image to an image of a dataset.

        Args:
            pixels: (h, w) uint16, full range [0, 65535].

        Returns:
            (H, W) uint16, [0, 65535].

        Raises:
            RecipeError: The image is not gray uint16.
        """
        import numpy as np

        _require_gray(pixels, axes=2)
        resized = self.geometry.apply(pixels)
        if self.bit_depth == 8:
            resized = ((resized.astype(np.uint32) + 128) // 257 * 257).astype(np.uint16)
        return resized

    def to_network(self, batch: Pixels) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Convert images of a dataset to a network's input: x * rescale_factor - mean.

        Under `image_max` the factor is target_scale / maximum of each image.

        Args:
            batch: (n, H, W) uint16, [0, 65535].

        Returns:
            (n, H, W, channels) float32.

        Raises:
            RecipeError: The batch does not hold gray uint16 images.
        """
        import numpy as np

        _require_gray(batch, axes=3)
        factor: Any = np.float32(self.rescale_factor)
        if self.intensity == "rescale" and not self.equalize:  # in one pass
            scaled: np.ndarray[Any, np.dtype[np.float32]] = np.multiply(
                batch, factor, dtype=np.float32
            )
            return self._center(scaled)
        values = batch.astype(np.float32)
        if self.intensity == "image_max":
            top = batch.max(axis=(1, 2), initial=0).astype(np.float32)
            # A black image stays black, as in the original: a maximum of 0 counts as the target.
            factor = np.where(top > 0, np.float32(self.target_scale) / np.maximum(top, 1), 1)
            factor = factor.astype(np.float32)[:, np.newaxis, np.newaxis]
        if self.equalize:
            for image, value in zip(batch, values, strict=True):
                value[...] = self._equalize(image)
            if self.intensity == "image_max":
                factor = np.float32(self.target_scale / TARGET_SCALE)
            else:
                # 256 levels spread over the full range: the factor keeps its meaning.
                factor = factor * np.float32(257)
        values *= factor
        return self._center(values)

    def _center(
        self, values: np.ndarray[Any, np.dtype[np.float32]]
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Subtract the mean from images, in place, and add the axis of channels."""
        import numpy as np

        values -= np.float32(self.mean)
        gray = values[..., np.newaxis]
        return gray if self.channels == 1 else np.repeat(gray, self.channels, axis=-1)

    def _equalize(self, image: Images) -> Pixels:
        eight_bits = self.intensity == "image_max"
        return imaging.equalize_hist(imaging.to_eight_bit(image) if eight_bits else image)


def _require_gray(pixels: Pixels, axes: int) -> None:
    if pixels.ndim != axes or pixels.dtype != "uint16":
        raise RecipeError(
            "These pixels cannot be preprocessed",
            expected="(h, w) uint16" if axes == 2 else "(n, h, w) uint16",
            received=f"shape {pixels.shape}, {pixels.dtype}",
        )
