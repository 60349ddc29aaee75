"""Four hours of two services, in the last of which something happens: for all that look for anomalies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.generate.generator import generate
from flows.generate.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.generate.generator import GeneratedRecord

STARVED = {"kind": "cpu_starved", "at": "3h20m", "lasts": "10m", "service": "shop", "factor": 10.0}
STOPS = {"kind": "traffic_drop", "at": "3h20m", "lasts": "30m", "service": "web", "operations": ["get"], "keep": 0.0}


def _operation(path: str) -> dict[str, object]:
    return {"http": path, "own": {"median": "20ms", "spread": 0.4}}


def happening(rate: float, incident: dict[str, object], late: float = 0.005) -> Iterator[GeneratedRecord]:
    """The records, in order of sending.

    Args:
        rate: spans a second at the start.
        incident: what happens.
        late: share of requests that are sent late.
    """
    services = {
        "web": {"operations": {"get": _operation("GET /"), "put": _operation("PUT /")}},
        "shop": {"operations": {"buy": _operation("POST /buy")}},
    }
    scenario = Scenario.model_validate(
        {
            "name": "happens",
            "duration": "4h",
            "rate": rate,
            "export": {"every": "5s"},
            "late": {"share": late},
            "services": services,
            "traffic": {"web.get": 4, "web.put": 3, "shop.buy": 3},
            "incidents": [incident],
        }
    )
    return generate(scenario, seed=1)
