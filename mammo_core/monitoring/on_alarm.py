"""What an alarm starts: a command of the user, if the change-control plan allows it."""

import shlex
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mammo_core.errors import RecipeError, RunError
from mammo_core.monitoring.alarms import Alarm

if TYPE_CHECKING:
    from mammo_core.registry.change_plan.plan import Monitoring


def subject_of(alarm: Alarm) -> str:
    """Return what an alarm is about, in the words of a plan: inputs, scores, auc, calibration."""
    if alarm.kind == "labels":
        return "calibration" if alarm.measure == "calibration" else "auc"
    return "scores" if alarm.measure == "probability" else "inputs"


def alarms_to_act_on(alarms: Sequence[Alarm], plan: "Monitoring | None") -> list[Alarm]:
    """Return the alarms that nothing was started for and that may start something.

    Args:
        alarms: All alarms.
        plan: How the plan says that the model is watched; None: there is no plan.
    """
    return [
        alarm
        for alarm in alarms
        if not alarm.retrained and (plan is None or subject_of(alarm) in plan.watched)
    ]


def split_command(text: str, plan: "Monitoring | None") -> list[str]:
    """Return the words of a command that alarms start; no shell is involved.

    Args:
        text: The command.
        plan: As in `alarms_to_act_on`.

    Raises:
        RecipeError: It is empty, quotes do not match, or the plan allows notices only.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise _command_error(str(error)) from error
    if not words:
        raise _command_error("none")
    if plan is not None and plan.on_alarm != "retrain":
        raise RecipeError(
            "The change-control plan does not allow an alarm to start anything",
            expected="monitoring.on_alarm: retrain in the plan, or no command",
            received=f"monitoring.on_alarm: {plan.on_alarm}, and a command",
        )
    return words


def start(words: Sequence[str]) -> None:
    """Run a command and wait for its end; its output goes where ours goes.

    Args:
        words: The program and its arguments.

    Raises:
        RunError: It cannot be started, or fails.
    """
    try:
        code = subprocess.run(list(words), check=False).returncode
    except OSError as error:
        received = error.strerror or type(error).__name__
    else:
        if code == 0:
            return
        received = f"exit code {code}"
    raise RunError(
        "The command for alarms failed",
        expected=f"exit code 0 of {words[0]}",
        received=received,
        hint="The next call of `mammo monitor` with --on-alarm starts it again",
    )


def _command_error(received: str) -> RecipeError:
    return RecipeError(
        "The command for alarms cannot be used",
        expected="a program and its arguments, such as 'mammo pipeline run --pipeline retrain …'",
        received=received,
    )
