"""The section about maintenance: when events count for no SLO and teach no detector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from exporters.alerts import rfc3339
from flows.config.scalars import Moment
from flows.config.sections import Section
from flows.errors import ConfigError
from flows.slo.exclusions import Exclusion

if TYPE_CHECKING:
    from collections.abc import Sequence


class ExclusionSetting(Section):
    """One maintenance."""

    match: dict[str, Annotated[str, Field(min_length=1)]] = Field(
        description="Labels that an SLO must have (`slo`, `service`, or its own), or a series that is scored for "
        "anomalies (`anomaly`, the rule's name, `service`, or its own); `{}` is all of them."
    )
    from_ns: Moment = Field(description="When it begins, event time: RFC 3339.")
    to_ns: Moment = Field(description="When it is over.")

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.to_ns <= self.from_ns:
            raise ConfigError("to", rfc3339(self.to_ns), f"it must be after {rfc3339(self.from_ns)}")
        return self


def exclusions(settings: Sequence[ExclusionSetting]) -> tuple[Exclusion, ...]:
    """The settings as the judge takes them."""
    return tuple(Exclusion(tuple(sorted(each.match.items())), each.from_ns, each.to_ns) for each in settings)
