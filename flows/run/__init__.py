"""Running live: `supervisor.py` owns the workers of a machine, `worker.py` is one of them, `work.py` how it begins.

`link.py` is what they say to each other, `page.py` what a worker shows, `view.py` what a machine shows of itself,
`gate.py` when it may be seen, `alerting.py` who is told of alerts. `state.py` is the state directory,
`recovery_files.py` whether its files can be trusted, `crashes.py` what is done about workers that end,
`dead_letters.py` where undecodable records go and `letters.py` how they are read again. `warm.py` compiles kernels,
`allocator.py` keeps memory.
"""
