"""A package's network in the formats that servers take: SavedModel and ONNX.

Both take stored pixels, `pixels (n, H, W) uint16, [0, 65535]`, and return
`malignant_probability (n,) float32, [0, 1]`: the intensity part of the preprocessing is inside.
Networks of two views take `cc` and `mlo`, each like `pixels`, zeros for a missing view.
The SavedModel lies in the package's own folder, so that a version in the registry is what
TensorFlow Serving loads. Its second signature, `image` or `breast`, takes one of each, without n.

`python -m mammo_core.packaging.exports FOLDER` does it in a process of its own: the export needs
TensorFlow, whichever backend the network was trained with, and leaves nothing behind.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from mammo_core.errors import ModelError
from mammo_core.packaging.contents import MODEL, ONNX, LabelMap, read_content
from mammo_core.packaging.prediction import named_inputs
from mammo_core.preprocessing import Preprocessing

Export = Literal["saved_model", "onnx"]

EXPORTED: Final = "exported"
#: How far an export's probability may be from the package's own path (issue, point 5).
AGREEMENT: Final = 1e-4
_OPSET: Final = 17
_RESULT: Final = "exports.json"


def export(folder: Path, formats: Sequence[Export]) -> dict[str, str]:
    """Write exports into a package that is being built.

    A format that cannot be written, or that does not give the package's own probabilities
    within 1e-4, is left out with its reason.

    Args:
        folder: With the network, preprocessing, label map and expected outputs.
        formats: Which ones.

    Returns:
        Format → `exported`, or why it is not there.

    Raises:
        ModelError: The process that exports failed as a whole.
    """
    if not formats:
        return {}
    # Networks of JAX load on TensorFlow too; no GPU memory is taken from who trains.
    environment = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    with tempfile.TemporaryDirectory(prefix="mammo-export-") as aside:
        command = [sys.executable, "-m", __name__, str(folder), aside, *formats]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        told = Path(aside) / _RESULT
        if done.returncode or not told.is_file():
            lines = (done.stderr or done.stdout).strip().splitlines()
            raise ModelError(
                "The network cannot be exported",
                expected=" and ".join(formats),
                received=lines[-1] if lines else f"exit code {done.returncode}",
            )
        result: dict[str, str] = json.loads(told.read_text())
        for name, state in result.items():
            if state == EXPORTED:
                shutil.copytree(Path(aside) / name, folder, dirs_exist_ok=True)
    return result


def _export_all(folder: Path, aside: Path, formats: Sequence[str]) -> dict[str, str]:
    from mammo_core.packaging.keras_file import import_keras
    from mammo_core.packaging.package import read_expected
    from mammo_core.packaging.tensorflow_path import serving_functions, write_saved_model

    import_keras()
    from mammo_core.models.storage import load_model

    preprocessing = read_content(folder, "preprocessing.json", Preprocessing)
    labels = read_content(folder, "label_map.json", LabelMap)
    pixels, expected = read_expected(folder)
    functions = serving_functions(load_model(folder / MODEL), preprocessing, labels.image)
    result = {}
    for name in formats:
        place = aside / name
        try:
            place.mkdir()
            if name == "saved_model":
                found = write_saved_model(functions, place, pixels)
            else:
                found = _write_onnx(functions, place / ONNX, pixels)
            difference = None if found is None else float(np.abs(found - expected).max())
            result[name] = (
                EXPORTED
                if difference is None or difference <= AGREEMENT
                else f"left out: it differs by {difference:.2g} from the package's own path"
            )
        # Exporters raise anything at all; the package is whole without them.
        except Exception as error:
            told = (str(error).strip().splitlines() or [""])[0][:200]
            result[name] = f"not supported by the exporter: {type(error).__name__}: {told}"
    return result


def _write_onnx(functions: Any, path: Path, pixels: Any) -> Any:
    """Write the ONNX file; its own probabilities, where onnxruntime is installed."""
    import tf2onnx

    tf2onnx.convert.from_function(
        functions.batch,
        input_signature=functions.specifications,
        opset=_OPSET,
        output_path=str(path),
    )
    try:
        import onnxruntime
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["malignant_probability"], named_inputs(pixels))[0]


def main(arguments: list[str]) -> int:
    """Export the package in the first folder into the second; returns the exit code."""
    from mammo_core.processes import follow_parent

    folder, aside, *formats = arguments
    follow_parent()
    result = _export_all(Path(folder), Path(aside), formats)
    (Path(aside) / _RESULT).write_text(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
