"""`mammo` with an order of independent tasks of its own: `ordered.py sorted|reversed WORDS…`.

KFP's local runner takes the tasks of a pipeline in the order of a map of protobuf, which follows
a hash: in another process it may be another.
"""

import sys

from kfp.local import graph_utils

from mammo_core.cli import main

_dependencies = graph_utils.build_dependency_map


def _in_order(tasks):
    found = _dependencies(tasks)
    return {name: found[name] for name in sorted(found, reverse=ORDER == "reversed")}


ORDER = sys.argv.pop(1)
graph_utils.build_dependency_map = _in_order
main()
