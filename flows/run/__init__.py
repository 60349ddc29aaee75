"""Running live: `supervisor.py` owns the workers of a machine, `worker.py` is one of them.

`link.py` is what they say to each other, `page.py` what a worker shows, `gate.py` when it may be seen, `state.py` the
state directory, `crashes.py` what is done about workers that end, `dead_letters.py` where undecodable records go.
"""
