"""Alert policies and the annotation `tiers` → the tiers of one promise."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from detectors.tiers import Tier, check, tier
from flows.slo.annotations import ON_CONDITION, PREFIX, SEVERITIES, Annotations
from flows.slo.promise import MINUTE_NS, Policy, Promise, UserTier
from flows.slo.schema import AlertCondition, AlertNotificationTarget, AlertPolicy, ConditionSpec, Metadata, PolicySpec
from flows.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.slo.place import Place
    from flows.slo.references import References
    from flows.slo.schema import PolicyCondition, SLOPolicy

PANE_NS = MINUTE_NS // 12


class Written(NamedTuple):
    """A tier as it is written, and where: whether it can fire depends on the objective."""

    tier: Tier
    for_ns: int
    keep_firing_for_ns: int
    place: Place


class Alerting(NamedTuple):
    """What the policies that an SLO names say together."""

    tiers: tuple[Written, ...]
    when_no_data: bool | None = None
    when_breaching: bool = True
    when_resolved: bool = True


class PolicyReader:
    """Reads the alert policies of one SLO."""

    def __init__(self, references: References, policy: Policy, period_ns: int, warnings: list[str]) -> None:
        """`policy` has what the SLO's annotations say; `period_ns` turns shares of the budget into factors."""
        self._references = references
        self._policy = policy
        self._period_ns = period_ns
        self._warnings = warnings

    def from_annotation(self, annotations: Annotations) -> Alerting:
        """The tiers that the annotation `tiers` lists."""
        place, tiers = annotations.place("tiers"), list[Written]()
        for each in annotations.tiers():
            name = f"{'page' if each.severity == 'critical' else 'ticket'}-{format_duration(each.long_ns)}"
            made = tier(
                name, each.severity, each.long_ns, each.short_ns, self._period_ns, burn=each.burn, share=each.share
            )
            keep = each.keep_firing_for_ns
            keep = self._policy.keep_firing_for_ns(each.severity) if keep is None else keep
            tiers.append(Written(made, each.for_ns, keep, place))
        if not tiers:
            raise place.refuse("empty", "it lists tiers", "Write 'page 14.4 1h/5m; ticket 3 1d/2h'.")
        return Alerting(_distinct(tiers))

    def from_policies(self, entries: tuple[SLOPolicy, ...], place: Place) -> Alerting:
        """The tiers of alert policies, one for each, and when they alert."""
        tiers, flags = list[Written](), list[PolicySpec]()
        for i, entry in enumerate(entries):
            spec, metadata, where = self._policy_of(entry, place.at(i))
            Annotations(metadata.annotations, where.at("metadata", "annotations"), ())
            flags.append(spec)
            tiers += self._tiers(spec, where.at("spec"))
        return Alerting(_distinct(tiers), *_when(flags))

    def _policy_of(self, entry: SLOPolicy, place: Place) -> tuple[PolicySpec, Metadata, Place]:
        if entry.alert_policy_ref and entry.spec is None:
            policy, where = self._references.find(AlertPolicy, entry.alert_policy_ref, place.at("alertPolicyRef"))
            return policy.spec, policy.metadata, where
        return (
            _inline(entry.spec, entry.alert_policy_ref, place, "alertPolicyRef"),
            entry.metadata or _nameless(),
            place,
        )

    def _tiers(self, spec: PolicySpec, place: Place) -> Iterator[Written]:
        self._warn(spec, place)
        if len(spec.conditions) != 1:
            found = f"a list of {len(spec.conditions)}" if spec.conditions else "missing"
            expected = "an alert policy of openslo/v1 has one condition"
            raise place.at("conditions").refuse(found, expected, "Write an alert policy for each.")
        if spec.alert_when_breaching is not False:
            yield self._tier(spec.conditions[0], place.at("conditions", 0))

    def _warn(self, spec: PolicySpec, place: Place) -> None:
        if spec.alert_when_breaching is False:
            said = "is false: the condition of this policy raises no alert"
            self._warnings.append(place.at("alertWhenBreaching").warning(said))
        if spec.notification_targets:
            said = "is ignored: Alertmanager's routes say who hears of an alert, by its severity and labels"
            self._warnings.append(place.at("notificationTargets").warning(said))
        for target in spec.notification_targets:
            if target.target_ref:
                self._references.mark(AlertNotificationTarget, target.target_ref)

    def _tier(self, entry: PolicyCondition, place: Place) -> Written:
        if entry.condition_ref and entry.spec is None:
            found, place = self._references.find(AlertCondition, entry.condition_ref, place.at("conditionRef"))
            spec, metadata = found.spec, found.metadata
        else:
            spec = _inline(entry.spec, entry.condition_ref, place, "conditionRef")
            metadata = entry.metadata or _nameless()
        return self._condition(spec, metadata, place)

    def _condition(self, spec: ConditionSpec, metadata: Metadata, place: Place) -> Written:
        annotations = Annotations(metadata.annotations, place.at("metadata", "annotations"), ON_CONDITION)
        details, here = spec.condition, place.at("spec", "condition")
        if spec.severity not in SEVERITIES:
            expected = f"there are {', '.join(SEVERITIES)}"
            hint = "Write page for what wakes somebody, ticket for the rest."
            raise place.at("spec", "severity").refuse(repr(spec.severity), expected, hint)
        if details.op in ("lt", "lte"):
            expected = "the budget burns too fast above a rate, not below one"
            raise here.at("op").refuse(details.op, expected, "Write op: gt.")
        if details.op == "gte":
            self._warnings.append(
                here.at("op").warning("is gte and is read as gt: an alert starts above the threshold")
            )
        severity, long_ns = SEVERITIES[spec.severity], details.lookback_window.ns
        short_ns = annotations.duration("short-window") or _short(long_ns)
        keep = annotations.durations_by_severity("keep-firing-for").get(severity)
        keep = self._policy.keep_firing_for_ns(severity) if keep is None else keep
        name = metadata.name if metadata.name != _NAMELESS else f"{severity}-{format_duration(long_ns)}"
        made = tier(name, severity, long_ns, short_ns, self._period_ns, burn=details.threshold)
        after = details.alert_after.ns if details.alert_after else 0
        return Written(made, after, keep, here)


_NAMELESS = "unnamed"

S = TypeVar("S", PolicySpec, ConditionSpec)


def _nameless() -> Metadata:
    return Metadata(name=_NAMELESS)


def _inline(spec: S | None, name: str | None, place: Place, reference: str) -> S:
    """What stands within, if it stands there and is not named as well."""
    if spec is None or name:
        found = "given twice, by name and within" if spec else "neither within nor by name"
        raise place.refuse(found, f"it is either {reference} or kind, metadata and spec")
    return spec


def _short(long_ns: int) -> int:
    """A twelfth, as the workbook has it, in whole minutes where there is one, else in panes."""
    twelfth = long_ns // 12
    step = MINUTE_NS if twelfth >= MINUTE_NS else PANE_NS
    return max(twelfth // step * step, PANE_NS)


def _distinct(tiers: list[Written]) -> tuple[Written, ...]:
    names = [each.tier.name for each in tiers]
    for i, each in enumerate(tiers):
        if names[i] in names[:i]:
            raise each.place.refuse(f"a second tier {names[i]}", "each has a name or windows of its own")
    return tuple(tiers)


def _when(specs: list[PolicySpec]) -> tuple[bool | None, bool, bool]:
    """What several policies say together: any of them is enough."""
    no_data = [each.alert_when_no_data for each in specs if each.alert_when_no_data is not None]
    breaching = any(each.alert_when_breaching is not False for each in specs)
    resolved = any(each.alert_when_resolved is not False for each in specs)
    return any(no_data) if no_data else None, breaching, resolved


def checked(tiers: tuple[Written, ...], promise: Promise) -> tuple[UserTier, ...]:
    """The tiers of the user's, each of which can fire for this promise.

    Raises:
        SloError: One never can, or does not fit the period or its windows.
    """
    for each in tiers:
        made = each.tier
        try:
            check(made, promise.objective, promise.period.period_ns)
        except ValueError as error:
            raise each.place.refuse(f"unusable: {error}") from error
        for name, length in (("long", made.long_ns), ("short", made.short_ns)):
            if length % PANE_NS:
                expected = f"windows are multiples of {format_duration(PANE_NS)}"
                raise each.place.refuse(f"with a {name} window of {format_duration(length)}", expected)
        if few := promise.too_few_slices(made):
            raise each.place.refuse(f"unusable: {few}", hint=f"Set {PREFIX}short-window.")
    return tuple(UserTier.of(each.tier, promise.objective, each.for_ns, each.keep_firing_for_ns) for each in tiers)
