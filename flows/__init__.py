"""Dataflows: from records to samples and alerts, in event time.

Here lives everything that knows streams, partitions, frontiers and the dataflow engine. What must not: formulas
(`detectors`) and the formats of what leaves (`exporters`). Begin with `flows/engine.py`, which is the picture as code.
"""
