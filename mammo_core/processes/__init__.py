"""Work in a process of its own, and steps that end with their command.

    result = run_process([sys.executable, "-I", script], timeout_s=30, address_space=2 << 30)
    if not result.succeeded:
        raise ModelError(..., received=result.failure)    # "SIGSEGV", "exit code 3: last line"

    batch = call_in_process(measure, recipe)              # a function

`call_in_fork` calls a function of this very process, without new imports. `start_process` is for
workers that live longer than one task; `pool.map_in_processes` does the same work on many items.
All of them end with the process that started them, however that ends.
"""

from mammo_core.processes.call import call_in_process
from mammo_core.processes.follow import FOLLOW, child_environment, follow_parent, start_time
from mammo_core.processes.fork import ForkResult, call_in_fork
from mammo_core.processes.lighter import lighter_batch, works_lighter
from mammo_core.processes.memory import give_back_memory
from mammo_core.processes.run import ProcessError, ProcessResult, run_process, start_process

__all__ = [
    "FOLLOW",
    "ForkResult",
    "ProcessError",
    "ProcessResult",
    "call_in_fork",
    "call_in_process",
    "child_environment",
    "follow_parent",
    "give_back_memory",
    "lighter_batch",
    "run_process",
    "start_process",
    "start_time",
    "works_lighter",
]
