"""KFP components: each body is one call into `mammo_core.steps`."""

from components.combine.component import combine
from components.convert.component import convert
from components.convert_partition.component import convert_partition
from components.evaluate.component import evaluate
from components.find_new.component import find_new
from components.gate.component import gate
from components.index.component import index
from components.publish_features.component import publish_features
from components.push.component import push
from components.regions.component import regions
from components.sample.component import sample
from components.sample_partition.component import sample_partition
from components.score.component import score
from components.start_from.component import start_from
from components.summarize.component import summarize
from components.train_image.component import train_image
from components.train_patch.component import train_patch
from components.validate_data.component import validate_data

__all__ = [
    "combine",
    "convert",
    "convert_partition",
    "evaluate",
    "find_new",
    "gate",
    "index",
    "publish_features",
    "push",
    "regions",
    "sample",
    "sample_partition",
    "score",
    "start_from",
    "summarize",
    "train_image",
    "train_patch",
    "validate_data",
]
