"""A Collector that does what streamgauge does: spans from a topic, span metrics on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

RIGHT = {"resource_metrics_key_attributes": ["service.name"]}
"""Without it every resource, such as each pod, has metrics of its own, and those with the same labels are shown one
instead of the other."""


def span_metrics(
    bootstrap: str, topic: str, port: int, connector: Mapping[str, Any], receiver: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Its configuration: `topic` → span_metrics → http://127.0.0.1:PORT/metrics.

    Args:
        bootstrap: `host:port` of the broker.
        topic: of OTLP protobuf.
        port: of the page.
        connector: what span_metrics is told beside its defaults.
        receiver: what the receiver is told beside where to read.
    """
    return {
        "receivers": {
            "kafka": {
                "brokers": [bootstrap],
                "group_id": f"collector-{topic}-{port}",
                "initial_offset": "earliest",
                "traces": {"topics": [topic], "encoding": "otlp_proto"},
                **(receiver or {}),
            }
        },
        "connectors": {"span_metrics": dict(connector)},
        "exporters": {"prometheus": {"endpoint": f"127.0.0.1:{port}", "metric_expiration": "10h"}},
        "service": {
            "pipelines": {
                "traces": {"receivers": ["kafka"], "exporters": ["span_metrics"]},
                "metrics": {"receivers": ["span_metrics"], "exporters": ["prometheus"]},
            }
        },
    }
