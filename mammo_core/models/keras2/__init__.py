"""Import of models that Keras 2.0.8 saved, without running any code of the file."""

from mammo_core.models.keras2.model import Keras2Report, import_keras2

__all__ = ["Keras2Report", "import_keras2"]
