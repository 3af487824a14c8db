"""Define the two families of the lab's errors: those that the user can mend, and those that only the log explains."""


class LabError(Exception):
    """Say that the lab failed: a build broke, or a node did not boot. The message quotes the log. Exit code 4."""


class LabUsageError(LabError):
    """Say that the user has to act first: install packages, free a port, name another node. Exit code 2."""
