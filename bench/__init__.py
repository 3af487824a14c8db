"""Measure nodeprep's real commands beside its peers, on the same fleet of real sshd nodes, in the same run.

`make bench` takes at most 15 minutes, `make bench-full` more; both write docs/bench.md, docs/bench.svg and the measured
rows, docs/bench.jsonl. They need root. `python -m bench --help` shows how to run a part of it.

    matrix.py        the runs: number of nodes, round trip, repetitions, drivers
    drivers.py       nodeprep's verbs and the peers as command lines; peers/ holds the peers' playbooks and programs
    environments.py  a pinned environment for each peer, built from pins/
    work.py          the one desired state, in the form that each peer takes, and the check of it from outside
    run.py           one driver on a fresh fleet, measured from outside by measure.py; cost.py counts a node's work
    campaign.py      all runs, one after the other
    results.py       the rows and their medians
    targets.py, report.py, plot.py    the targets, the page and the picture
"""
