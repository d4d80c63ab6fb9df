"""The network of a package in the formats that servers load: SavedModel and ONNX.

Both take stored pixels, `pixels (n, H, W) uint16, [0, 65535]`, and return
`malignant_probability (n,) float32, [0, 1]`: they include the intensity part of the
preprocessing. Networks of two views take `cc` and `mlo`, each like `pixels`, zeros for a missing
view. The SavedModel is stored in the folder of the package itself, so that TensorFlow Serving
loads a version of the registry. Its second signature, `image` or `breast`, takes a single one,
without n.

The export runs in a separate process: it needs TensorFlow, whichever backend the network was
trained with, and leaves nothing behind.
"""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from mammo_core.errors import ModelError
from mammo_core.packaging.contents import MODEL, ONNX, LabelMapFile, read_content
from mammo_core.packaging.prediction import named_inputs
from mammo_core.preprocessing import Preprocessing
from mammo_core.processes import ProcessError, call_in_process

Export = Literal["saved_model", "onnx"]

EXPORTED: Final = "exported"
#: Largest difference allowed between an export's probability and the package's.
AGREEMENT: Final = 1e-4
_OPSET: Final = 17


def export(folder: Path, formats: Sequence[Export]) -> dict[str, str]:
    """Write exports into a package that is being built.

    A format that cannot be written, or whose probabilities differ from the package's by more
    than 1e-4, is left out with a reason.

    Args:
        folder: Folder with the network, preprocessing, label map and expected outputs.
        formats: Formats to write.

    Returns:
        Format → `exported`, or why it is missing.

    Raises:
        ModelError: The process of the export failed.
    """
    if not formats:
        return {}
    # Networks trained with JAX load on TensorFlow too. The GPU is left to training.
    environment = {
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # tf2onnx walks sets of texts: without it, two processes write other bytes.
        "PYTHONHASHSEED": "0",
    }
    with tempfile.TemporaryDirectory(prefix="mammo-export-") as scratch:
        try:
            states: dict[str, str] = call_in_process(
                _export_all, str(folder), scratch, list(formats), environment=environment
            )
        except ProcessError as error:
            raise ModelError(
                "The network cannot be exported",
                expected=" and ".join(formats),
                received=error.received,
            ) from error
        for name, state in states.items():
            if state == EXPORTED:
                shutil.copytree(Path(scratch) / name, folder, dirs_exist_ok=True)
    return states


def _export_all(package: str, target: str, formats: Sequence[str]) -> dict[str, str]:
    """Write each format into a folder of its own; runs in the process of the export."""
    from mammo_core.packaging.keras_file import import_keras
    from mammo_core.packaging.self_check import read_expected
    from mammo_core.packaging.tensorflow_export import serving_functions, write_saved_model

    import_keras()
    from mammo_core.models.storage import load_model

    folder = Path(package)
    preprocessing = read_content(folder, "preprocessing.json", Preprocessing)
    labels = read_content(folder, "label_map.json", LabelMapFile)
    pixels, expected = read_expected(folder)
    functions = serving_functions(load_model(folder / MODEL), preprocessing, labels.image)
    result = {}
    for name in formats:
        output = Path(target) / name
        try:
            output.mkdir()
            if name == "saved_model":
                probabilities = write_saved_model(functions, output, pixels)
            else:
                probabilities = _write_onnx(functions, output / ONNX, pixels)
            difference = (
                None if probabilities is None else float(np.abs(probabilities - expected).max())
            )
            result[name] = (
                EXPORTED
                if difference is None or difference <= AGREEMENT
                else f"left out: it differs by {difference:.2g} from the package's probability"
            )
        # Exporters raise many types of errors; the package is complete without the exports.
        except Exception as error:
            message = (str(error).strip().splitlines() or [""])[0][:200]
            result[name] = f"not supported by the exporter: {type(error).__name__}: {message}"
    return result


def _write_onnx(functions: Any, path: Path, pixels: Any) -> Any:
    """Write the ONNX file; returns its probabilities if onnxruntime is installed."""
    import tf2onnx
    from tf2onnx.graph import Node

    # It walks sets of nodes too, in the order of their addresses; their names are unique.
    Node.__hash__ = lambda node: hash(node.name)
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
