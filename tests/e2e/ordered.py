"""`mammo` with a fixed order of independent tasks: `ordered.py sorted|reversed WORDS…`.

KFP's local runner takes the tasks of a pipeline in the order of a protobuf map, which depends on a
hash and can differ between processes.
"""

import sys

from kfp.local import graph_utils

from mammo_core.cli import main

_dependencies = graph_utils.build_dependency_map


def _in_order(tasks):
    dependencies = _dependencies(tasks)
    return {name: dependencies[name] for name in sorted(dependencies, reverse=ORDER == "reversed")}


ORDER = sys.argv.pop(1)
graph_utils.build_dependency_map = _in_order
main()
