"""The strangest of each service, against asking each series."""

from __future__ import annotations

import numpy as np

from flows.anomalies.pooled import Group, Pools
from flows.anomalies.strange import Strange
from tests.flows.anomalies.said import operation

SERIES = [
    Strange(rule, signal, operation(span, service), 0.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    for rule in ("all", "some")
    for service in ("web", "shop")
    for span in ("get", "put", "del")
    for signal in ("p95", "rate")
]


def test_of_each_step_the_largest_score_of_a_service_is_kept_where_something_is_strange() -> None:
    rng = np.random.default_rng(2)
    scores = rng.uniform(0.25, 1, (200, len(SERIES)))
    scores[rng.uniform(size=scores.shape) < 0.6] = -1
    pools = Pools()
    for end_ns, step in enumerate(scores.tolist()):
        pools.add(end_ns, [of._replace(score=score) for of, score in zip(SERIES, step, strict=True) if score > 0])
    assert len(pools.found) == 8
    for group, pool in pools.found.items():
        mine = [Group(each.rule, each.signal, each.operation.service) == group for each in SERIES]
        most = scores[:, mine].max(axis=1)
        assert pool.times_ns.tolist() == np.flatnonzero(most > 0).tolist()
        assert pool.score.tolist() == most[most > 0].tolist()
