"""What the terms of its data allow to be done with a model."""

from collections.abc import Iterable

from mammo_core.packaging.contents import TrainingData, read_content
from mammo_core.packaging.package import OpenedPackage
from mammo_core.sources.card.terms import Use, acknowledged_names, require_allowed


def require_use(package: OpenedPackage, use: Use, acknowledged: Iterable[str], action: str) -> None:
    """Refuse what the terms of the data forbid that a model was fitted to.

    A push also counts what the recipe of the model acknowledged; who serves it acknowledges anew.

    Args:
        package: The package.
        use: What is about to be done.
        acknowledged: Names of acknowledged terms, beside those of the environment.
        action: `served` or `pushed`.

    Raises:
        SourceError: Terms forbid it, and were not acknowledged.
    """
    data = read_content(package.folder, "training_data.json", TrainingData)
    names = acknowledged_names(
        acknowledged, data.acknowledged if use == "model_redistribution" else ()
    )
    require_allowed(data.terms, use, names, f"The model {package.name} cannot be {action}")
