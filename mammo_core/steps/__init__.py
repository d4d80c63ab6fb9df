"""The steps of the pipelines: each reuses its output in the store, or makes and publishes it.

A step takes the record of a run and the manifests of its inputs and returns the manifest of its
output: `images = steps.convert(run, tables=tables)`. `steps.at_paths` has the same steps for
Kubeflow Pipelines. Nothing heavy is imported before a step has looked for its output.
"""

from mammo_core.steps.begin import RunStart, begin
from mammo_core.steps.data import convert, publish_features, sample
from mammo_core.steps.ensemble import combine, start_from
from mammo_core.steps.evaluation import evaluate, regions
from mammo_core.steps.index import index
from mammo_core.steps.release import gate, push
from mammo_core.steps.scoring import score
from mammo_core.steps.train import count_gpus, train_image, train_patch
from mammo_core.steps.validation import find_new, validate_data

__all__ = [
    "RunStart",
    "begin",
    "combine",
    "convert",
    "count_gpus",
    "evaluate",
    "find_new",
    "gate",
    "index",
    "publish_features",
    "push",
    "regions",
    "sample",
    "score",
    "start_from",
    "train_image",
    "train_patch",
    "validate_data",
]
