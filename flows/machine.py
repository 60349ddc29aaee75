"""The state machine of one alert: quiet, pending, firing, resolved; a step for each closed pane, or for several.

A tier that is above its threshold latches; it lets go when one of its windows is below 0.8 of it, or when it has not
been known for its long window. The alert fires while any tier is latched, and `keep_firing_for` longer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from detectors.evaluation import TierState
from detectors.tiers import MINUTE_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

NEVER = -1

RESOLVED_FOR_NS = 20 * MINUTE_NS
"""How long an alert that ended is still told of: longer than whoever sends it repeats it."""


@dataclass(slots=True)
class Latched:
    """Tiers that hold an alert, by name, and since when each is unknown."""

    since: dict[str, int] = field(default_factory=dict)
    unknown_since: dict[str, int] = field(default_factory=dict)

    def step(self, at_ns: int, states: Sequence[tuple[str, TierState, int]]) -> bool:
        """Take what all tiers say, (name, state, long window in ns); whether any of them holds."""
        for gone in self.since.keys() - {name for name, _, _ in states}:  # the promise was edited
            del self.since[gone]
        for name, state, long_ns in states:
            if state == TierState.ABOVE:
                self.since.setdefault(name, at_ns)
            elif state == TierState.RELEASED:
                self.since.pop(name, None)
            if state != TierState.UNKNOWN:
                self.unknown_since.pop(name, None)
            elif name in self.since and at_ns - self.unknown_since.setdefault(name, at_ns) >= long_ns:
                self.since.pop(name)
                self.unknown_since.pop(name)
        return bool(self.since)


@dataclass(slots=True)
class Machine:
    """One alert of one objective and severity, or any other that is either so or not.

    >>> machine = Machine()
    >>> steps = [(0, False), (10, True), (20, False), (40, False)]
    >>> [machine.step(at, is_so, for_ns=0, keep_ns=20) for at, is_so in steps]
    [False, True, True, False]
    >>> machine.starts_at_ns, machine.ends_at_ns
    (10, 40)
    """

    pending_since: int = NEVER
    starts_at_ns: int = NEVER  # of the present or the last alert
    ends_at_ns: int = NEVER  # of the last alert; NEVER while it fires, or never did
    false_since: int = NEVER
    latched: Latched = field(default_factory=Latched)
    says: dict[str, str] = field(default_factory=dict)  # annotations as of the last time it was so

    @property
    def is_firing(self) -> bool:
        """Whether it fires."""
        return self.starts_at_ns != NEVER and self.ends_at_ns == NEVER

    @property
    def is_pending(self) -> bool:
        """Whether it waits for its time to fire."""
        return self.pending_since != NEVER and not self.is_firing

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is remembered that a step could change."""
        return not (self.is_firing or self.is_pending or self.latched.since)

    @property
    def is_settled(self) -> bool:
        """Whether it fires, and the same again changes nothing: no time is running."""
        return self.is_firing and self.false_since == NEVER and not self.latched.unknown_since

    def is_told(self, at_ns: int) -> bool:
        """Whether it fires, or ended a little while ago."""
        return self.is_firing or (self.ends_at_ns != NEVER and at_ns - self.ends_at_ns <= RESOLVED_FOR_NS)

    def step(self, at_ns: int, is_so: bool, for_ns: int = 0, keep_ns: int = 0, apart_ns: int = 0) -> bool:
        """The next closed pane: whether it fires now.

        Args:
            at_ns: end of the pane.
            is_so: whether what the alert is about is the case.
            for_ns: how long it must be before it fires.
            keep_ns: how long it goes on firing after.
            apart_ns: what fires again so soon after it was so last is the same alert, with its start.
        """
        if self.is_firing:
            self.false_since = NEVER if is_so else at_ns if self.false_since == NEVER else self.false_since
            if not is_so and at_ns - self.false_since >= keep_ns:
                self.ends_at_ns, self.pending_since = at_ns, NEVER
            return self.is_firing
        if not is_so:
            self.pending_since = NEVER
            return False
        if self.pending_since == NEVER:
            self.pending_since = at_ns
        if at_ns - self.pending_since >= for_ns:
            if self.starts_at_ns == NEVER or at_ns - self.false_since >= apart_ns:
                self.starts_at_ns = at_ns
            self.ends_at_ns, self.false_since = NEVER, NEVER
        return self.is_firing

    def snapshot(self) -> list[Any]:
        """Plain values."""
        return [
            self.pending_since,
            self.starts_at_ns,
            self.ends_at_ns,
            self.false_since,
            self.latched.since,
            self.latched.unknown_since,
            self.says,
        ]

    @classmethod
    def restore(cls, fields: list[Any]) -> Machine:
        """The machine that `snapshot` gave."""
        pending_since, starts_at_ns, ends_at_ns, false_since, since, unknown_since, says = fields
        return cls(pending_since, starts_at_ns, ends_at_ns, false_since, Latched(since, unknown_since), says)
