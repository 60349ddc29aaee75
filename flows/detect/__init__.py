"""Anomalies in a file of values: `series.py` reads it, `command.py` scores it, `answer.py` writes what came of it."""
