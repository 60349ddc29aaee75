"""The outside world: names and pages of Prometheus, OpenMetrics files, links.

Here lives how a value is written down and where it is sent. What must not: how it is computed (`detectors`), or when
(`flows`); nothing here imports either.
"""
