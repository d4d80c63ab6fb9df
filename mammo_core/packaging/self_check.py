"""The self check of a package: it must reproduce the probabilities stored in it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mammo_core.documents import DocumentError, parse_npz
from mammo_core.errors import ModelError
from mammo_core.packaging.contents import EXPECTED
from mammo_core.packaging.package import Package, load
from mammo_core.processes import ProcessError, call_in_process

#: Bytes of the samples of a package: eight images of 50 million pixels.
_MAXIMUM_BYTES = 2**30


@dataclass(frozen=True)
class SelfCheckResult:
    """The result of a self check.

    Attributes:
        samples: Number of samples in the package.
        largest_difference: Largest difference between a stored and a reproduced probability.
    """

    samples: int
    largest_difference: float


def self_check(folder: Path, tolerance: float | None = None) -> SelfCheckResult:
    """Load a package and require its expected outputs: see `require_expected_outputs`."""
    return require_expected_outputs(load(folder), tolerance)


def self_check_in_new_process(folder: Path) -> SelfCheckResult:
    """Run the self check in a process that shares nothing with the one that built the package.

    Args:
        folder: Folder of the package.

    Raises:
        ModelError: The package does not load, or predicts other probabilities.
    """
    try:
        samples, difference = call_in_process(_self_check, str(folder))
    except ProcessError as error:
        raise ModelError(
            f"The self check of the model package {folder.name} failed",
            expected="the probabilities in expected.npz",
            received=error.received,
        ) from error
    return SelfCheckResult(samples, difference)


def require_expected_outputs(package: Package, tolerance: float | None = None) -> SelfCheckResult:
    """Predict the samples of a package and compare with the stored probabilities.

    Args:
        package: The package.
        tolerance: The largest difference allowed; default: the package's own.

    Raises:
        ModelError: A probability differs by more.
    """
    allowed = package.manifest.tolerance if tolerance is None else tolerance
    pixels, expected = read_expected(package.folder)
    reproduced = package.predict(pixels)
    differences = np.abs(reproduced - expected)
    if reproduced.shape != expected.shape or not differences.max() <= allowed:
        worst = int(differences.argmax())
        raise ModelError(
            f"The model package {package.folder.name} does not reproduce its expected outputs",
            expected=f"probability {expected[worst]:.6f} ± {allowed:g} for sample {worst}",
            received=f"{reproduced[worst]:.6f}",
            hint="Compare the versions in package.json with those installed here.",
        )
    return SelfCheckResult(len(expected), float(differences.max()))


def read_expected(folder: Path) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32]]:
    """Return the samples of a package and their probabilities `(n,) float32, [0, 1]`.

    The samples are `(n, H, W) uint16`, or `(n, 2, H, W)` if the unit is a breast.

    Raises:
        ModelError: They are missing, damaged or too large.
    """
    try:
        stored = parse_npz(folder / EXPECTED, max_bytes=_MAXIMUM_BYTES)
        return stored["pixels"], stored["probabilities"]
    except (DocumentError, KeyError) as error:
        raise ModelError(
            f"{EXPECTED} of the model package {folder.name} cannot be read",
            expected="arrays of pixels and their probabilities",
            received=str(error),
        ) from error


def _self_check(folder: str) -> tuple[int, float]:
    result = self_check(Path(folder))
    return result.samples, result.largest_difference
