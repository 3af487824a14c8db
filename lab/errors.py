"""What can go wrong in the lab, by who can help: the person at the keyboard, or nobody but a reader of the log."""


class LabError(Exception):
    """The lab could not do what it was asked: a build broke, a node did not boot. The message quotes the log."""


class LabUsageError(LabError):
    """The person has to do something first: install packages, free a port, name another node. Exit code 2."""
