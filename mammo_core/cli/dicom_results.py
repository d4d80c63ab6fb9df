"""The results of `mammo score` as DICOM objects."""

import datetime
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mammo_core.errors import RecipeError

if TYPE_CHECKING:
    from mammo_core.packaging import Package
    from mammo_core.packaging.package import OpenedPackage
    from mammo_core.results import ResultSummary
    from mammo_core.scoring.delivery import Delivery


class DicomResults:
    """Writes the DICOM results of a scoring run, if they are requested.

    Args:
        folder: Where; None: there are none.
        time: When the exams were scored: ISO 8601 with an offset; empty: when the run began.

    Raises:
        RecipeError: The folder is a file, or the time is none or has no offset.
    """

    def __init__(self, folder: Path | None, time: str) -> None:
        if folder is not None and folder.exists() and not folder.is_dir():
            raise RecipeError(
                "The DICOM results cannot be written",
                expected="a folder, or a path where there is nothing",
                received=f"the file {folder}",
            )
        if time and (folder is None or not _has_offset(time)):
            raise RecipeError(
                "The time of the DICOM results cannot be used",
                expected="--dicom-out, and a time like 2026-11-30T09:30:00+01:00",
                received=time if folder is not None else "no --dicom-out",
            )
        self._folder, self._time = folder, time
        self._summary: ResultSummary | None = None

    def files(self) -> list[Path]:
        """Return the results of an earlier run, none of which is an input."""
        return [] if self._folder is None else [p for p in self._folder.glob("*") if p.is_file()]

    def have_outlines(self, packages: "Sequence[Package]", explain: bool) -> bool:
        """Return whether the results have findings.

        Args:
            packages: The packages.
            explain: Whether they are worth the many predictions of an occlusion map.
        """
        from mammo_core.evaluation.explanation import has_patch_map

        return self._folder is not None and (explain or all(map(has_patch_map, packages)))

    def deliver(self, opened: "Sequence[OpenedPackage]") -> "Callable[[Delivery], None] | None":
        """Return the function that writes them; None: there are none.

        Args:
            opened: The packages, with their names and versions.
        """
        if self._folder is None:
            return None
        folder = self._folder
        versions = {
            package.model_id: (package.name, str(package.version or "")) for package in opened
        }

        def write(delivery: "Delivery") -> None:
            from mammo_core.results import write_results

            self._summary = write_results(delivery, folder, versions, began=self._time)

        return write

    def report(self) -> None:
        """Say what was written."""
        summary = self._summary
        if summary is None:
            return
        typer.echo(
            f"DICOM results: {summary.objects} objects about {summary.images} images, listed in "
            f"{summary.table}"
        )
        if summary.rejected:
            typer.echo(f"{summary.rejected} images have none: see {summary.rejects}")


def _has_offset(time: str) -> bool:
    try:
        return datetime.datetime.fromisoformat(time).tzinfo is not None
    except ValueError:
        return False
