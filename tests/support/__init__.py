"""Helpers that several tests share, imported like any module.

    from tests.support.processes import free_port, start_child

Put a function here that more than one test file calls; a fixture in the `conftest.py` of the
folder that uses it; everything else into the test file. Scripts that a test runs as a process of
their own import this package too, if they are started in the root of the repository or with it
on PYTHONPATH. No test changes `sys.path` or loads a helper by its path.

    processes    processes that end with the test, free ports
    forked       programs that start at once, in forks of one that has imported TensorFlow
    s3           the S3 server of the session
    undrawn      networks built without drawing weights that are about to be loaded
    packages     model packages of untrained networks
    ingest       a small source and its conversion
    feature_tables          small tables for the feature store
    malicious_registries    Feast registries that contain code
    loader_scanner          calls in our code that could execute foreign code
"""
