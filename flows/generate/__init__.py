"""Seeded traffic from scenario files: recordings whose truth is known.

`scenario.py` says what a platform and its incidents are, `plan.py` unfolds each kind of request into a tree of spans,
`traffic.py` draws traces from the trees, `batches.py` hands their spans to exporters as time passes, `encode.py` writes
what the exporters send. `generator.py` strings them together; `labels.py` tells the truth about the incidents.

The same seed and scenario give the same bytes, and a shorter recording is the beginning of a longer one.
"""
