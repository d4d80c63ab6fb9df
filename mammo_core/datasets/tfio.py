"""tensorflow-io: records streamed from `s3://`, and a second DICOM decoder for comparison.

It works with TensorFlow up to 2.17 only, so it has its own environment: the extra `tfio`,
requirements/tfio.txt, `make test-tfio`. Its pitfalls, and how they are handled:

- Its import succeeds even if its plugins cannot be loaded: `load` checks one of its operations.
- The endpoint must have a scheme, otherwise every call hangs for half a minute and a listing is
  silently empty: it is taken from the settings of the store, which have one.
- A process that used `s3://` aborts at exit (134) after its work is done: `load` makes the
  process leave before that, with its original exit code.
"""

import atexit
import ctypes
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.errors import DicomError, RecipeError, StoreError
from mammo_core.store import Store


@cache
def load() -> Any:
    """Import tensorflow-io, check its plugins and prepare a clean exit of the process.

    Raises:
        RecipeError: It is not installed, or does not work with this TensorFlow.
    """
    try:
        import tensorflow as tf
        import tensorflow_io as tfio

        tfio.image.decode_dicom_image  # noqa: B018 - may raise AttributeError
        registered = tf.io.gfile.get_registered_schemes()
    except (ImportError, AttributeError, NotImplementedError) as error:
        raise _unavailable_error(str(error)) from error
    if "s3" not in registered:
        raise _unavailable_error(f"TensorFlow {tf.__version__} without an s3 file system")
    atexit.register(_exit_before_destructors)
    return tfio


def _unavailable_error(received: str) -> RecipeError:
    return RecipeError(
        "tensorflow-io cannot be used",
        expected="the environment of requirements/tfio.txt (TensorFlow 2.17)",
        received=received.splitlines()[0],
        hint="`make test-tfio` creates it; `reader: local` works without tensorflow-io",
    )


def _exit_before_destructors() -> None:
    # The library's static objects are destroyed while its threads still use them. Handlers run
    # in reverse order of registration, so _exit(status) is called before any destructor. Python
    # has run its own handlers and flushed its files by then.
    libc = ctypes.CDLL(None)
    libc.on_exit(libc._exit, None)


def s3_uris(store: Store, keys: list[str]) -> list[str]:
    """Return the `s3://` URIs of some keys of a store, for TensorFlow to read.

    Args:
        store: A store in S3; its endpoint and credentials are exported to the environment under
            the names that tensorflow-io reads.
        keys: Keys in the store.

    Raises:
        StoreError: The store is a local folder.
        RecipeError: tensorflow-io cannot be used.
    """
    if not store.uri.startswith("s3://"):
        raise StoreError(
            "tensorflow-io streams from S3 only",
            expected="a store at s3://bucket/prefix, or reader: local",
            received=store.uri,
        )
    from mammo_core.store.s3_settings import S3Settings

    settings = S3Settings.from_environment(os.environ)
    os.environ.update(
        S3_ENDPOINT=settings.endpoint,
        AWS_ACCESS_KEY_ID=settings.access_key,
        AWS_SECRET_ACCESS_KEY=settings.secret_key,
        AWS_REGION=settings.region,
    )
    if settings.ca_bundle is not None:
        os.environ["S3_CA_FILE"] = settings.ca_bundle
    load()
    return [f"{store.uri}/{key}" for key in keys]


def decode_dicom(path: Path, name: str) -> npt.NDArray[np.uint16]:
    """Decode a DICOM file with one gray frame with tensorflow-io, to check our own decoder.

    Args:
        path: The file.
        name: How errors call the file.

    Returns:
        `(h, w) uint16, [0, 65535]`: the stored values, without any look-up table.

    Raises:
        DicomError: The file cannot be decoded, or has several frames or channels.
    """
    tfio = load()
    import tensorflow as tf

    try:
        frames = tfio.image.decode_dicom_image(
            tf.io.read_file(str(path)), on_error="strict", scale="preserve", dtype=tf.uint16
        ).numpy()
    except tf.errors.OpError as error:
        raise DicomError(
            f"tensorflow-io cannot decode {name}",
            expected="a DICOM file with a gray image",
            received=f"{type(error).__name__}: {error.message.splitlines()[0]}",
        ) from error
    if frames.ndim != 4 or frames.shape[0] != 1 or frames.shape[3] != 1:
        raise DicomError(
            f"{name} is not one gray image",
            expected="(1, h, w, 1)",
            received=f"{frames.shape}",
        )
    return np.asarray(frames[0, :, :, 0], np.uint16)
