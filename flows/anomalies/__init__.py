"""Anomalies: latency, traffic and errors of each operation, scored against their own past by an online detector.

`choose.py` decides which series are scored, `score.py` keeps the detectors' state, `scored.py` is what both hand on.
`alerting.py` makes alerts of scores: `policy.py` has the rules, `fleet.py` the threshold, `strange.py` what may matter.
`pooled.py` keeps the strangest of each service for backtests.
"""
