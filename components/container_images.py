"""The container images of the components.

The tag `unset` is a placeholder: `mammo pipeline compile`, `upload` and `run` replace it by a
git sha or a digest.
"""

DATA_IMAGE = "mammo-pipelines/data:unset"
TRAIN_IMAGE = "mammo-pipelines/train:unset"
