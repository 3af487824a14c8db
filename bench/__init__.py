"""nodeprep's real commands beside its peers, on the same fleet of real sshd nodes, in the same run.

`make bench` takes at most 15 minutes, `make bench-full` more; both write docs/bench.md, docs/bench.svg and the measured
rows, docs/bench.jsonl. They need root. `python -m bench --help` runs parts of it.

    matrix.py        what is run: how many nodes, how far, how often, by whom
    drivers.py       who: nodeprep's verbs and the peers as command lines; peers/ holds their playbooks and programs
    environments.py  each from a pinned environment of its own (pins/)
    work.py          the one desired state, in the form each peer wants it, and the check from outside
    run.py           one driver on a fresh fleet, measured from outside by measure.py; cost.py: what a node pays
    campaign.py      all of them, one after the other
    results.py       the rows and their medians
    targets.py, report.py, plot.py    what is read from them
"""
