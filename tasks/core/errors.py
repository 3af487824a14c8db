"""The errors that end a run before any connection, and those that belong to one host.

UsageError and its children become one clear message and exit code 2. NodeError and its children never leave the
host they happened on: they become that host's result.
"""

from __future__ import annotations


class NodePrepError(Exception):
    """Root of all errors that nodeprep raises on purpose."""


class UsageError(NodePrepError):
    """The admin's input cannot be acted on: a flag, a selection, a file. Exit code 2, nothing was connected to."""


class SourceError(UsageError):
    """A file of the admin's is wrong at one place.

    source: the file's path as the admin knows it; line: counted from 1, 0 when the whole file is meant;
    problem: what was expected and what was got.
    """

    def __init__(self, source: str, line: int, problem: str) -> None:
        self.source, self.line, self.problem = source, line, problem
        super().__init__(f"{source}:{line}: {problem}" if line else f"{source}: {problem}")


class InventoryError(SourceError):
    """hosts.ini or a variable file beside it breaks Ansible's grammar or holds an unusable value."""


class ProfileError(SourceError):
    """A template does not render, or what it renders is not a list of modules or of `key = value` lines."""


class SelectionError(UsageError):
    """-H names something that is neither in the inventory nor a host that can be found."""


class NodeError(NodePrepError):
    """One host's trouble. next_step: one sentence, what the admin can do about it."""

    def __init__(self, problem: str, next_step: str = "") -> None:
        self.problem, self.next_step = problem, next_step
        super().__init__(problem)


class UnreachableError(NodeError):
    """The transport failed: no route, refused, host key, authentication, connection lost."""


class RemoteError(NodeError):
    """The node was reached, but what it was asked to do failed: no sudo, a reply that makes no sense, a deadline."""


class ShellEndedError(RemoteError):
    """What ran on the node ended before it had replied: sudo refused, or there is no shell to be had."""


class ChangeRefusedError(RemoteError):
    """The node was reached and left as it is: someone else is at it, or what is about to change could not be noted."""
