"""tensorflow-io: records streamed from `s3://`, and a second DICOM decoder to compare with.

It works with TensorFlow up to 2.17 only, so it has an environment of its own: the extra `tfio`,
requirements/tfio.txt, `make test-tfio`. Its traps, and what is done about them:

- its import succeeds where its plugins cannot be loaded: `load` asks for one of its operations;
- the endpoint must have a scheme, else every call hangs for half a minute and a listing is
  silently empty: it is set from the store's own settings, which have one;
- a process that used `s3://` aborts at its exit (134) with its work done: `load` lets the
  process leave before that, with the exit code it would have had.
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
    """Import tensorflow-io, and make sure of its plugins and of the process's end.

    Raises:
        RecipeError: It is not there, or does not work with this TensorFlow.
    """
    try:
        import tensorflow as tf
        import tensorflow_io as tfio

        tfio.image.decode_dicom_image  # noqa: B018 - an attribute error is one kind of absence
        registered = tf.io.gfile.get_registered_schemes()
    except (ImportError, AttributeError, NotImplementedError) as error:
        raise _absent(str(error)) from error
    if "s3" not in registered:
        raise _absent(f"TensorFlow {tf.__version__} without the file system s3")
    atexit.register(_leave_quietly)
    return tfio


def _absent(received: str) -> RecipeError:
    return RecipeError(
        "tensorflow-io cannot be used",
        expected="the environment of requirements/tfio.txt (TensorFlow 2.17)",
        received=received.splitlines()[0],
        hint="`make test-tfio` makes it; everything else reads without it (reader: local)",
    )


def _leave_quietly() -> None:
    # The library's static objects are destroyed while its threads still call them. What was
    # registered last runs first: at exit(status), before any destructor, _exit(status) is
    # called. Python has run its own handlers and flushed its files by then.
    libc = ctypes.CDLL(None)
    libc.on_exit(libc._exit, None)


def streamed(store: Store, keys: list[str]) -> list[str]:
    """Return `s3://` URIs of a store's keys, for TensorFlow to read.

    Args:
        store: A store in S3; its server and credentials are put into the environment under
            the names that tensorflow-io reads.
        keys: Keys of the store.

    Raises:
        StoreError: The store is a folder.
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
    load()
    return [f"{store.uri}/{key}" for key in keys]


def decode_dicom(path: Path, name: str) -> npt.NDArray[np.uint16]:
    """Decode a DICOM file of one gray frame by tensorflow-io, to compare with our own decoder.

    Args:
        path: The file.
        name: What errors call it.

    Returns:
        `(h, w) uint16`: the stored values, no look-up table applied.

    Raises:
        DicomError: It cannot be decoded, or has several frames or channels.
    """
    tfio = load()
    import tensorflow as tf

    try:
        found = tfio.image.decode_dicom_image(
            tf.io.read_file(str(path)), on_error="strict", scale="preserve", dtype=tf.uint16
        ).numpy()
    except tf.errors.OpError as error:
        raise DicomError(
            f"tensorflow-io cannot decode {name}",
            expected="a DICOM file of a gray image",
            received=f"{type(error).__name__}: {error.message.splitlines()[0]}",
        ) from error
    if found.ndim != 4 or found.shape[0] != 1 or found.shape[3] != 1:
        raise DicomError(
            f"{name} is not one gray image",
            expected="(1, h, w, 1)",
            received=f"{found.shape}",
        )
    return np.asarray(found[0, :, :, 0], np.uint16)
