"""The backend of Keras."""

import os


def prepare_keras() -> None:
    """Choose the default backend and silence its start-up messages, before Keras is imported."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
