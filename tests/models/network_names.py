"""Which networks each run of the tests builds: `make verify-networks` builds all."""

import os

from mammo_core.models import NETWORKS

_LARGE = (
    *("efficientnet_b3_torch", "efficientnet_b5", "efficientnetv2_m"),
    *("convnext_small", "convnext_base"),
)
#: Without the larger forms of networks that are there.
TESTED = [
    name
    for name in NETWORKS
    if os.environ.get("MAMMO_VERIFY_NETWORKS") == "1" or not name.startswith(_LARGE)
]
