"""A fuzz program: it damages every kind of file that tfseg reads, and watches what tfseg makes of it.

`python -m tests.fuzz` runs it. `damages` and `json_damages` say what happens to a file; `kinds` is the table of what is
damaged; `reader` is the child process that reads, `driver` the parent that watches it; `outcomes` judges and counts.
"""
