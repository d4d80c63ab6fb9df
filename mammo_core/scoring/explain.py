"""Heatmaps and regions of scored images."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mammo_core.packaging import Package
from mammo_core.scoring.files import InputFile
from mammo_core.scoring.images import DecodedImage
from mammo_core.scoring.units import ScoringUnit


class ImageExplainer:
    """Draws heatmaps and lists regions, if they are requested.

    Args:
        package: The first package of the model.
        files: All files of the run.
        heatmaps: Folder for the heatmaps; None for none.
        regions: Whether regions are returned.
    """

    def __init__(
        self, package: Package, files: Sequence[InputFile], heatmaps: Path | None, regions: bool
    ) -> None:
        self._package, self._heatmaps, self._regions = package, heatmaps, regions
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
        from mammo_core.evaluation.explanation import explain

        predict = unit.predictor_of_image(image, self._package.predict)
        explanation = explain(self._package, image.pixels[0], predict=predict)
        regions = [
            {"id": image.digest, "path": image.name, "kind": explanation.kind, **asdict(region)}
            for region in explanation.regions
        ]
        name = self._draw(image, explanation.heat, probability)
        return name, regions if self._regions else []

    def _draw(self, image: DecodedImage, heat: Any, probability: float) -> str:
        folder = self._heatmaps
        if folder is None:
            return ""
        from mammo_core.reporting.pictures import Overlay, overlay

        suffix = f".{image.digest[:8]}" if image.name in self._repeated_names else ""
        path = folder / f"{image.name}{suffix}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        caption = f"malignant probability {probability:.2f}"
        path.write_bytes(overlay(Overlay(image.pixels[0], heat, None, caption)))
        return path.relative_to(folder).as_posix()
