"""What the alerts of anomalies show → samples under the exporters' names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from exporters import names
from exporters.labels import LabelSet
from exporters.samples import Samples, by_label
from flows.anomalies.shown import ALERTNAME, SEVERITY
from flows.publish import alert_samples

if TYPE_CHECKING:
    from flows.anomalies.shown import AnomaliesShown


def anomaly_samples(shown: AnomaliesShown) -> list[Samples]:
    """The threshold of every rule, and how many alerts fire or are pending."""
    of = ALERTNAME, SEVERITY
    firing = [of for each in shown.alerts if each.ends_at_ns is None]
    labels = [LabelSet([(names.ANOMALY, rule)]) for rule in shown.thresholds]
    return [
        by_label(names.ANOMALY_THRESHOLD, shown.end_ns, labels, np.array(list(shown.thresholds.values()))),
        alert_samples(shown.end_ns, firing, shown.pending, ((*of, "firing"), (*of, "pending"))),
    ]
