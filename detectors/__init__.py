"""Online arithmetic: histograms, burn rates, spike and anomaly detectors.

Here lives what is computed from numbers and times that are handed in. What must not: streams, files, clocks, sockets,
Prometheus. Every module is one method, with its source in its docstring; a notebook imports the same code as
production.
"""
