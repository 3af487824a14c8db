"""What can go wrong in the lab, by who can help: the person at the keyboard, or nobody but a reader of the log."""


class LabError(Exception):
    """The lab could not do what it was asked: a build broke, a node did not boot. The message quotes the log."""


class LabUsageError(LabError):
    """The person has to do something first: install packages, free a port, name another node. Exit code 2."""


def number(option: str, text: str, most: int) -> int:
    """What an option says, a number from 1 to most. Raises LabUsageError; invoke itself would end with a traceback."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= most):
        raise LabUsageError(f"{option}: expected a number from 1 to {most}, got {text}")
    return int(text)
