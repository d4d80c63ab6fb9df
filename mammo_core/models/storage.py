"""Models to and from `.keras` files."""

from pathlib import Path

import keras

from mammo_core.errors import ModelError


def save_model(model: keras.Model, path: Path) -> None:
    """Write a model as a `.keras` file (weights and architecture, no optimizer)."""
    if path.suffix != ".keras":
        raise ModelError(
            f"Cannot save a model as {path.name}",
            expected="a name ending in .keras",
            received=path.name,
        )
    model.save(path)


def load_model(path: Path) -> keras.Model:
    """Read a `.keras` file in safe mode: no code from the file runs.

    Raises:
        ModelError: There is no such file, or it is no Keras model.
    """
    if not path.is_file():
        raise ModelError(
            f"No model file {path.name}", expected="a .keras file", received="nothing there"
        )
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # zipfile, json, h5py and Keras raise many kinds here
        raise ModelError(
            f"Cannot read the model {path.name}",
            expected="a .keras file of this library",
            received=str(error).splitlines()[0] if str(error) else type(error).__name__,
        ) from error
