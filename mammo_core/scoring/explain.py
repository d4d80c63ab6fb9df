"""Heatmaps and regions of scored images."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from mammo_core.scoring.files import InputFile
from mammo_core.scoring.images import DecodedImage
from mammo_core.scoring.model import ScoringModel
from mammo_core.scoring.outlines import outlines_in_file
from mammo_core.scoring.units import ScoringUnit

if TYPE_CHECKING:
    from mammo_core.evaluation.explanation import Explanation, HotRegion

#: Rows and columns of the largest map over the image of a file; memory stays bounded.
_LARGEST_MAP: Final = 2048


def explain_image(
    model: ScoringModel, unit: ScoringUnit, image: DecodedImage
) -> "tuple[Explanation, npt.NDArray[np.uint16]]":
    """Explain the score of an image.

    The map of several packages is the weighted mean of theirs: of their patch classifiers if all
    have one, otherwise by occlusion. Where they differ in geometry or conversion, it is computed
    over the image of the file, and the coordinates of regions are pixel indices of the file.

    Args:
        model: The model.
        unit: The unit of the image.
        image: The image, with pixels.

    Returns:
        The explanation, and the picture `(h, w) uint16, [0, 65535]` of the field of view of its
        map.
    """
    from mammo_core.evaluation.explanation import explanation_of, has_patch_map, heat_of

    has_patches = all(has_patch_map(package) for package in model.packages)
    kind: Any = "patch classifier" if has_patches else "occlusion"
    heats = [
        heat_of(
            package,
            image.pixels[number],
            kind,
            predict=unit.predictor_of_image(image, package.predict, number),
        )
        for number, package in enumerate(model.packages)
    ]
    if model.shared_input is not None:
        return explanation_of(_mean(model, heats), kind), image.pixels[0]
    rows, columns = image.maps[0].rows, image.maps[0].columns
    step = -(-max(rows, columns) // _LARGEST_MAP)
    maps = zip(image.maps, heats, strict=True)
    heat = _mean(model, [to_file.to_source(heat, step) for to_file, heat in maps])
    explanation = explanation_of(heat, kind)
    regions = tuple(_in_file(region, step, rows, columns) for region in explanation.regions)
    picture = image.maps[0].to_source(image.pixels[0].astype(np.float32), step)
    return replace(explanation, regions=regions), np.rint(picture).astype(np.uint16)


def _mean(model: ScoringModel, heats: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    if len(heats) == 1:
        return heats[0]
    total = np.zeros(heats[0].shape, np.float64)
    for weight, heat in zip(model.weights, heats, strict=True):
        total += weight * heat
    return np.clip(total, 0, 1).astype(np.float32)


def _in_file(region: "HotRegion", step: int, rows: int, columns: int) -> "HotRegion":
    """Return a region of a map in pixel indices of the file."""
    middle = (step - 1) / 2
    return replace(
        region,
        row=min(region.row * step + middle, rows - 1),
        column=min(region.column * step + middle, columns - 1),
        top=region.top * step,
        left=region.left * step,
        bottom=min(region.bottom * step + step, rows) - 1,
        right=min(region.right * step + step, columns) - 1,
        area=region.area * step**2,
    )


class ImageExplainer:
    """Draws heatmaps and lists regions, if they are requested.

    Args:
        model: The model.
        files: All files of the run.
        heatmaps: Folder for the heatmaps; None for none.
        regions: Whether regions are returned.
        outlines: Whether they have their `outline` in pixels of the file.
    """

    def __init__(
        self,
        model: ScoringModel,
        files: Sequence[InputFile],
        heatmaps: Path | None,
        regions: bool,
        outlines: bool = False,
    ) -> None:
        self._model, self._heatmaps, self._regions = model, heatmaps, regions
        self._outlines = outlines
        names = Counter(file.name for file in files) if heatmaps else Counter()
        self._repeated_names = {name for name, count in names.items() if count > 1}

    def explain(
        self, unit: ScoringUnit, image: DecodedImage, probability: float
    ) -> tuple[str, list[dict[str, Any]]]:
        """Explain the score of an image.

        Args:
            unit: The unit of the image.
            image: The image.
            probability: The score, [0, 1].

        Returns:
            The name of the heatmap (empty for none), and the rows of the regions.
        """
        if (self._heatmaps is None and not self._regions) or not image.pixels:
            return "", []
        explanation, picture = explain_image(self._model, unit, image)
        regions = [
            {"id": image.digest, "path": image.name, "kind": explanation.kind, **asdict(region)}
            for region in explanation.regions
        ]
        if self._outlines:
            outlines = outlines_in_file(self._model, image, explanation)
            for row, outline in zip(regions, outlines, strict=True):
                row |= {"outline": outline, "location": image.location}
        name = self._draw(image, picture, explanation.heat, probability)
        return name, regions if self._regions else []

    def _draw(
        self,
        image: DecodedImage,
        picture: npt.NDArray[np.uint16],
        heat: npt.NDArray[np.float32],
        probability: float,
    ) -> str:
        folder = self._heatmaps
        if folder is None:
            return ""
        from mammo_core.reporting.pictures import Overlay, overlay

        suffix = f".{image.digest[:8]}" if image.name in self._repeated_names else ""
        path = folder / f"{image.name}{suffix}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        caption = f"malignant probability {probability:.2f}"
        path.write_bytes(overlay(Overlay(picture, heat, None, caption)))
        return path.relative_to(folder).as_posix()
