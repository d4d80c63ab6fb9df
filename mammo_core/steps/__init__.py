"""The steps of the pipelines: each finds its output in the store, or makes and publishes it.

A step takes the URI of the store, the run's id, the recipe and the paths of its inputs'
manifests; it writes the manifest of its output, and its status into the run's record.
Nothing heavy is imported before the output was looked up.
"""

from mammo_core.steps.accelerators import say_gpus
from mammo_core.steps.artifacts import passed, show_audit, show_evaluation, show_page
from mammo_core.steps.begin import begin, members
from mammo_core.steps.data import convert, index, publish_features, sample
from mammo_core.steps.ensemble import combine, start_from
from mammo_core.steps.evaluation import evaluate
from mammo_core.steps.regions import regions
from mammo_core.steps.release import gate, push
from mammo_core.steps.scoring import score
from mammo_core.steps.summary import summarize
from mammo_core.steps.train import train_image, train_patch
from mammo_core.steps.validation import enough, find_new, validate_data

__all__ = [
    "begin",
    "combine",
    "convert",
    "enough",
    "evaluate",
    "find_new",
    "gate",
    "index",
    "members",
    "passed",
    "publish_features",
    "push",
    "regions",
    "sample",
    "say_gpus",
    "score",
    "show_audit",
    "show_evaluation",
    "show_page",
    "start_from",
    "summarize",
    "train_image",
    "train_patch",
    "validate_data",
]
