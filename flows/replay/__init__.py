"""Replay: recordings through the dataflow, by one process or several, and what came of them.

`command.py` is what a person calls, `job.py` what is asked for, `compute.py` how it is found out, `worker.py` one
process's share of it, `cluster.py` runs one worker or several, `files.py` writes what was asked for as files.
"""
