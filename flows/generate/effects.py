"""What an incident does to which spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from flows.generate.incidents import AiProviderSlow, CpuStarved, ErrorBurst, LossyNetwork, SlowDatabase, TrafficDrop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.generate.incidents import Incident


class Subject(NamedTuple):
    """What an incident may concern: a service's work, its call to another, its asking of a dependency."""

    what: str  # work, call, dependency
    service: str  # that sends the span
    operation: str = ""  # of the service, or of the dependency
    callee: str = ""  # the other service, or the dependency
    is_root: bool = False


class Effect(NamedTuple):
    """What one incident at its worst does to one node; less of it while it ramps up."""

    incident: int  # its number in the scenario
    slower: float = 1.0  # factor on own time
    errors: float = 0.0  # added to the share of failures
    tokens: float = 1.0  # factor on gen_ai.usage.* amounts
    loss: float = 0.0  # share of calls that wait for a retransmission
    delay_ns: int = 0  # what such a call waits
    retries: float = 0.0  # added to the share of first attempts that fail
    dropped: float = 0.0  # share of root spans that never happen


def effects_on(incidents: Sequence[Incident], subject: Subject) -> tuple[Effect, ...]:
    """The effects of all incidents that concern a subject."""
    found = (effect_of(incident, number, subject) for number, incident in enumerate(incidents))
    return tuple(effect for effect in found if effect is not None)


def effect_of(incident: Incident, number: int, subject: Subject) -> Effect | None:
    """What an incident does to a subject, if anything."""
    operations = getattr(incident, "operations", None)
    mine = subject.service == incident.service and (operations is None or subject.operation in operations)
    match incident, subject.what:
        case SlowDatabase(), "dependency" if mine and subject.callee == incident.dependency:
            return Effect(number, slower=incident.factor, errors=incident.errors)
        case AiProviderSlow(), "dependency" if mine and subject.callee == incident.dependency:
            return Effect(number, slower=incident.factor, tokens=incident.tokens)
        case ErrorBurst(), "work" if mine:
            return Effect(number, errors=incident.share)
        case CpuStarved(), "work" if mine:
            return Effect(number, slower=incident.factor)
        case TrafficDrop(), "work" if mine and subject.is_root:
            return Effect(number, dropped=1 - incident.keep)
        case LossyNetwork(), "call" if (subject.service, subject.callee) == (incident.client, incident.service):
            return Effect(number, loss=incident.loss, delay_ns=incident.delay, retries=incident.retries)
        case _:
            return None
