"""Serving: a model package as an HTTP service, Open Inference Protocol v2 and DICOM in."""

from mammo_core.serving.config import ServeConfig

__all__ = ["ServeConfig"]
