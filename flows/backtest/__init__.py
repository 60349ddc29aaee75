"""What rules would have made of a recording whose faults are known.

`labels.py` reads the faults, `stretch.py` says which time counts, `thresholds.py` which score to alert at, `verdict.py`
compares alerts with faults, `answer.py` shows what came of it, `drawing.py` draws it, `command.py` is what a person
calls.
"""
