"""Networks: patch classifiers, their conversion to whole images, and heatmaps.

Keras is imported on first use, so that reading a recipe stays fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mammo_core.models.config import HeadConfig, HeatmapConfig, NetworkConfig, TwoViewConfig
from mammo_core.models.registry import (
    NETWORKS,
    Application,
    Network,
    Window,
    network_names,
    network_of,
    register_network,
)

if TYPE_CHECKING:
    from mammo_core.models.build import blocks, build_patch_network
    from mammo_core.models.description import describe
    from mammo_core.models.graph import leaf_layers
    from mammo_core.models.heatmaps.fully_convolutional import fully_convolutional
    from mammo_core.models.heatmaps.grid import Heatmap
    from mammo_core.models.heatmaps.one_pass import coordinates, heatmap, image_heatmap
    from mammo_core.models.heatmaps.sliding_window import (
        original_heatmap,
        sliding_window,
        window_grid,
    )
    from mammo_core.models.keras2.model import Keras2Report, import_keras2
    from mammo_core.models.precision import with_precision
    from mammo_core.models.storage import load_model, save_model
    from mammo_core.models.two_view import breast_batch, to_two_views, two_view_config
    from mammo_core.models.whole_image import to_whole_image

__all__ = [
    "NETWORKS",
    "Application",
    "HeadConfig",
    "Heatmap",
    "HeatmapConfig",
    "Keras2Report",
    "Network",
    "NetworkConfig",
    "TwoViewConfig",
    "Window",
    "blocks",
    "breast_batch",
    "build_patch_network",
    "coordinates",
    "describe",
    "fully_convolutional",
    "heatmap",
    "image_heatmap",
    "import_keras2",
    "leaf_layers",
    "load_model",
    "network_names",
    "network_of",
    "original_heatmap",
    "register_network",
    "save_model",
    "sliding_window",
    "to_two_views",
    "to_whole_image",
    "two_view_config",
    "window_grid",
    "with_precision",
]

_MODULES = {
    "Heatmap": "heatmaps.grid",
    "Keras2Report": "keras2.model",
    "blocks": "build",
    "breast_batch": "two_view",
    "build_patch_network": "build",
    "coordinates": "heatmaps.one_pass",
    "describe": "description",
    "fully_convolutional": "heatmaps.fully_convolutional",
    "heatmap": "heatmaps.one_pass",
    "image_heatmap": "heatmaps.one_pass",
    "import_keras2": "keras2.model",
    "leaf_layers": "graph",
    "load_model": "storage",
    "original_heatmap": "heatmaps.sliding_window",
    "save_model": "storage",
    "sliding_window": "heatmaps.sliding_window",
    "to_two_views": "two_view",
    "to_whole_image": "whole_image",
    "two_view_config": "two_view",
    "window_grid": "heatmaps.sliding_window",
    "with_precision": "precision",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
