"""Which changes a challenger brings, and whether the plan allows each of them."""

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mammo_core.packaging.settings import Value, covers
from mammo_core.registry.change_plan.plan import ChangePlan, SettingRules

Part = Literal["plan", "data", "settings", "metrics", "subgroups"]


class Change(BaseModel):
    """A change from the champion to the challenger, or a limit that the challenger meets.

    Attributes:
        part: The part of the plan that decides about it.
        name: What changed: the key of a setting, a metric, a subgroup.
        before: What the champion has, in words; empty if it has nothing.
        after: What the challenger has.
        allowed: Whether the plan allows it.
        rule: What the plan says about it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: Part
    name: str
    before: str
    after: str
    allowed: bool
    rule: str

    @property
    def text(self) -> str:
        """The change in a line, for the reasons of a decision."""
        values = f"{self.before or 'nothing'} → {self.after or 'nothing'}"
        verb = "allowed" if self.allowed else "forbidden"
        return f"{self.part}: {self.name}: {values}: {verb}, {self.rule}"


def plan_change(before: ChangePlan | None, after: ChangePlan) -> Change | None:
    """Return the change of the plan itself; None if there is none.

    Args:
        before: The plan that the champion was released under; None: none.
        after: The plan of the challenger.
    """
    if before is None or before.digest == after.digest:
        return None
    allowed = after.replaces == before.digest
    return Change(
        part="plan",
        name=after.name,
        before=f"{before.name} ({before.digest[:12]})",
        after=f"{after.name} ({after.digest[:12]})",
        allowed=allowed,
        rule="the new plan replaces it" if allowed else f"`replaces` must be {before.digest}",
    )


def setting_changes(
    rules: SettingRules, before: Mapping[str, Value], after: Mapping[str, Value]
) -> Iterator[Change]:
    """Yield every setting that differs.

    Args:
        rules: The plan's rules about settings.
        before: The champion's settings.
        after: The challenger's settings.
    """
    for key in sorted({*before, *after}):
        if key in before and key in after and _same(before[key], after[key]):
            continue
        allowed, rule = _judge(rules, key, after.get(key))
        yield Change(
            part="settings",
            name=key,
            before=_text(before, key),
            after=_text(after, key),
            allowed=allowed,
            rule=rule,
        )


def _same(first: Value, second: Value) -> bool:
    # In Python, 1 is True; in a recipe it is another value.
    return first == second and isinstance(first, bool) == isinstance(second, bool)


def _judge(rules: SettingRules, key: str, value: Value) -> tuple[bool, str]:
    for pattern, limits in rules.limits.items():
        if covers((pattern,), key):
            fault = limits.fault(value)
            return not fault, f"the limits of {pattern}" + (f" demand {fault}" if fault else "")
    if covers(rules.may_change, key):
        return True, "it may change"
    return False, "the plan does not name it"


def _text(values: Mapping[str, Value], key: str) -> str:
    return "" if key not in values else "null" if values[key] is None else str(values[key])
