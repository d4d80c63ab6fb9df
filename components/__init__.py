"""KFP components: each body is one call into `mammo_core.steps`."""

from components.convert.component import convert
from components.evaluate.component import evaluate
from components.gate.component import gate
from components.index.component import index
from components.publish_features.component import publish_features
from components.push.component import push
from components.sample.component import sample
from components.summarize.component import summarize
from components.train_image.component import train_image
from components.train_patch.component import train_patch

__all__ = [
    "convert",
    "evaluate",
    "gate",
    "index",
    "publish_features",
    "push",
    "sample",
    "summarize",
    "train_image",
    "train_patch",
]
