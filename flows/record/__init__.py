"""Recording topics: what the live run reads, as files that `replay` reads.

`recorder.py` is the loop from consumer to files, `convert.py` makes OTLP of what is none, `parts.py` has the files of a
recording and where it goes on, `appending.py` one file that a crash may cut.
"""
