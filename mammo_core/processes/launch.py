"""A script that starts a command under limits and ties its life to its parent's.

    python -I -S launch.py LIFELINE ADDRESS_SPACE CPU_SECONDS COMMAND...

It replaces itself by the command, which inherits both: no cooperation of the command is needed,
and nothing runs between fork and exec of a parent that has threads. It imports nothing but the
standard library and is up in 10 ms. `start_process` runs it.
"""

import fcntl
import os
import resource
import select
import signal
import sys


def main(arguments: list[str]) -> None:
    """Apply the limits and become the command.

    Args:
        arguments: File descriptor of the lifeline; bytes of address space and seconds of
            processor time, 0 for no limit; the command.
    """
    lifeline, address_space, cpu_seconds = (int(word) for word in arguments[:3])
    command = arguments[3:]
    # A core file would hold pixels of patients.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if address_space:
        limit_resource(resource.RLIMIT_AS, address_space, address_space)
    if cpu_seconds:
        # SIGXCPU at the first limit, SIGKILL at the second.
        limit_resource(resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + 5)
    end_with_parent(lifeline)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127)


def limit_resource(kind: int, soft: int, hard: int) -> None:
    """Set the limits of a resource, but none above the hard limit that is in force."""
    current = resource.getrlimit(kind)[1]
    if current != resource.RLIM_INFINITY:
        soft, hard = min(soft, current), min(hard, current)
    resource.setrlimit(kind, (soft, hard))


def end_with_parent(lifeline: int) -> None:
    """Make the kernel end this process when its parent ends, whatever it is doing.

    Only the parent holds the pipe's other end, and never writes: SIGIO, which ends a process
    that does not handle it, is sent when that end is closed. Both outlast exec.
    (PR_SET_PDEATHSIG follows the thread that started the process, not the parent process.)

    Args:
        lifeline: File descriptor of the pipe's read end.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGIO})
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)
    waiter = select.poll()  # `select` takes no descriptor above 1023
    waiter.register(lifeline, select.POLLIN)
    if waiter.poll(0):  # closed before SIGIO was set up
        sys.exit(137)


if __name__ == "__main__":
    main(sys.argv[1:])
