"""What OpenSLO's schema cannot say: `metadata.annotations` under `streamgauge.dev/`, texts as the schema wants them."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from detectors.tiers import Severity
from flows.config.document import read_document
from flows.errors import ConfigError, UnitError
from flows.slo.promise import GroupBy
from flows.slo.selector import Selector, check_label, parse_selector
from flows.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flows.slo.place import Place

PREFIX = "streamgauge.dev/"

ON_SLO = (
    "tiers", "keep-firing-for", "min-events", "guard", "absence", "critical", "exclude", "runbook", "group-by", "mode",
)  # fmt: skip
"""Annotations of an SLO."""

ON_CONDITION = ("short-window", "keep-firing-for")
"""Annotations of an AlertCondition."""

SEVERITIES: dict[str, Severity] = {
    "page": "critical",
    "critical": "critical",
    "ticket": "warning",
    "warning": "warning",
}
"""How severities may be written."""

_TIER = re.compile(r"(\w+)\s+([0-9.]+)(%?)\s+(\w+)/(\w+)((?:\s+(?:for|keep)\s+\w+)*)")
_NEVER_EXPORTED_GROUP = "status_code"


class TierText(NamedTuple):
    """One tier as the annotation `tiers` has it."""

    severity: Severity
    burn: float | None
    share: float | None  # of the budget
    long_ns: int
    short_ns: int
    for_ns: int
    keep_firing_for_ns: int | None


class Annotations:
    """The annotations of one object, ours taken out; each method reads one and refuses what it cannot be."""

    def __init__(self, values: dict[str, str], place: Place, known: Sequence[str]) -> None:
        """`values` as they stand, at `place`; refuses one of ours that is none of `known`."""
        self._values = {key.removeprefix(PREFIX): each for key, each in values.items() if key.startswith(PREFIX)}
        self._place = place
        for key in self._values:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                others = f"Here may be {', '.join(known)}." if known else "Write it on the SLO or the AlertCondition."
                hint = f"Did you mean {PREFIX}{near[0]}?" if near else others
                raise self.place(key).refuse("no annotation of streamgauge's here", hint=hint)

    def place(self, key: str) -> Place:
        """Where an annotation stands."""
        return self._place.at(PREFIX + key)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def text(self, key: str) -> str:
        """The text, empty where there is none."""
        return self._values.get(key, "").strip()

    def flag(self, key: str) -> bool | None:
        """True or false, None where it is not said."""
        if key not in self._values:
            return None
        if self.text(key) not in ("true", "false"):
            raise self.place(key).refuse(repr(self._values[key]), "it is true or false", 'Write "true" or "false".')
        return self.text(key) == "true"

    def number(self, key: str) -> int | None:
        """A whole number, 0 or more."""
        if key not in self._values:
            return None
        if not re.fullmatch(r"[0-9]{1,12}", self.text(key)):
            raise self.place(key).refuse(repr(self._values[key]), "it is a whole number", 'Write "10".')
        return int(self.text(key))

    def duration(self, key: str) -> int | None:
        """Nanoseconds."""
        return self._duration(key, self.text(key)) if key in self._values else None

    def _duration(self, key: str, text: str) -> int:
        try:
            return parse_duration(text)
        except UnitError as error:
            raise self.place(key).refuse(error.found, error.expected, error.hint) from error

    def durations_by_severity(self, key: str) -> dict[Severity, int]:
        """`10m` for all, or `page=10m, ticket=1h`."""
        text, durations = self.text(key), dict[Severity, int]()
        if key not in self._values:
            return durations
        if "=" not in text:
            return dict.fromkeys(("critical", "warning"), self._duration(key, text))
        for part in text.split(","):
            name, _, duration = (each.strip() for each in part.partition("="))
            durations[self.severity(key, name)] = self._duration(key, duration)
        return durations

    def severity(self, key: str, name: str) -> Severity:
        """`critical` or `warning`, by any of their names."""
        if name not in SEVERITIES:
            hint = "Write page=10m, ticket=1h." if key == "keep-firing-for" else ""
            raise self.place(key).refuse(f"for {name!r}", f"there are {', '.join(SEVERITIES)}", hint)
        return SEVERITIES[name]

    def mode(self) -> Literal["active", "shadow"]:
        """Whether alerts are sent."""
        match self.text("mode"):
            case "" | "active":
                return "active"
            case "shadow":
                return "shadow"
        raise self.place("mode").refuse(repr(self.text("mode")), "it is active or shadow")

    def group_by(self, dimension_names: Sequence[str]) -> GroupBy | None:
        """`service_name`, or `service_name, 50` with a cap."""
        if "group-by" not in self._values:
            return None
        label, _, cap = (each.strip() for each in self.text("group-by").partition(","))
        place = self.place("group-by")
        check_label(label, place, dimension_names)
        if label == _NEVER_EXPORTED_GROUP:
            raise place.refuse(repr(label), "each status would be a promise of its own", "Write service_name.")
        if cap and not re.fullmatch(r"[1-9][0-9]{0,3}", cap):
            raise place.refuse(repr(cap), "the cap is a number from 1 to 9999", f"Write {label}, 100.")
        return GroupBy(label, int(cap)) if cap else GroupBy(label)

    def exclude(self, dimension_names: Sequence[str]) -> Selector | None:
        """A selector, as text: `{span_name: [GET /health]}`."""
        return self._read("exclude", lambda values, place: parse_selector(values, place, dimension_names))

    def _read(self, key: str, parse: Callable[[dict[str, object], Place], Selector]) -> Selector | None:
        if key not in self._values:
            return None
        place = self.place(key)
        try:
            values = read_document(self.text(key), {}).values
        except ConfigError as error:
            raise place.refuse(
                error.found, "it is a selector in YAML", "Write '{span_name: [GET /health]}'."
            ) from error
        if not isinstance(values, dict) or not values:
            raise place.refuse(repr(self.text(key)), "it is a selector", "Write '{span_name: [GET /health]}'.")
        return parse(values, place)

    def tiers(self) -> tuple[TierText, ...]:
        """`page 14.4 1h/5m; ticket 10% 3d/6h for 5m keep 2h`: severity, factor or share of the budget, windows."""
        return tuple(self._tier(each.strip()) for each in re.split(r"[;\n]", self.text("tiers")) if each.strip())

    def _tier(self, text: str) -> TierText:
        place, match = self.place("tiers"), _TIER.fullmatch(text)
        if match is None:
            expected = "a tier is severity, factor (or share of the budget) and two windows"
            raise place.refuse(repr(text), expected, "Write 'page 14.4 1h/5m; ticket 10% 3d/6h for 5m'.")
        try:
            number = float(match[2])
        except ValueError:
            raise place.refuse(repr(match[2]), "a factor is a number", "Write 14.4.") from None
        words = match[6].split()
        waits = {word: self._duration("tiers", each) for word, each in zip(words[::2], words[1::2], strict=True)}
        return TierText(
            severity=self.severity("tiers", match[1]),
            burn=None if match[3] else number,
            share=round(number / 100, 12) if match[3] else None,
            long_ns=self._duration("tiers", match[4]),
            short_ns=self._duration("tiers", match[5]),
            for_ns=waits.get("for", 0),
            keep_firing_for_ns=waits.get("keep"),
        )
