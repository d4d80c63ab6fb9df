"""A step that streams records, in the form in which KFP passes a function to its executor."""

import kfp  # noqa: F401 - as in the files that KFP writes


def count_records(uri: str, fail: bool) -> int:
    """Count the records of the shards under a URI."""
    import tensorflow as tf

    from mammo_core.datasets.tfio import s3_uris
    from mammo_core.store import open_store

    store = open_store(uri)
    keys = [key for key in store.list("") if key.endswith(".tfrecord")]
    count = sum(1 for _ in tf.data.TFRecordDataset(s3_uris(store, keys)))
    if fail:
        raise ValueError("on purpose")
    return count
