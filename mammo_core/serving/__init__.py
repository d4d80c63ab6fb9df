"""Serving: a model package as an HTTP service for the Open Inference Protocol v2 and DICOM."""

from mammo_core.serving.config import ServeConfig

__all__ = ["ServeConfig"]
