"""The live source: topics of a Kafka cluster, read by slots.

`cluster.py` knows which topics and partitions there are, `reader.py` owns one consumer, `quiet.py` decides from its
statistics who is idle and who does not answer, `silence.py` for how long, `committer.py` serves tools that show lag,
`source.py` is what the dataflow engine takes.
"""
