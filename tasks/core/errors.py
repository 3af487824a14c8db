"""The errors of the admin's input, found before any connection, and the errors of one host.

UsageError and its children become one clear message and exit code 2. NodeError and its children never leave the
host they happened on: they become that host's result.
"""

from __future__ import annotations


class NodePrepError(Exception):
    """The base class of all errors that nodeprep raises on purpose."""


class UsageError(NodePrepError):
    """The admin's input cannot be used: a flag, a selection, a file. Exit code 2, without a connection."""


class SourceError(UsageError):
    """A file of the admin has a mistake at one place.

    source: the file's path as the admin knows it. line: counted from 1, 0 for the whole file. problem: the text that is
    expected, and the text that was found.
    """

    def __init__(self, source: str, line: int, problem: str) -> None:
        self.source, self.line, self.problem = source, line, problem
        super().__init__(f"{source}:{line}: {problem}" if line else f"{source}: {problem}")


class InventoryError(SourceError):
    """hosts.ini or a variable file beside it breaks Ansible's grammar or holds an unusable value."""


class ProfileError(SourceError):
    """A template does not render, or what it renders is not a list of modules or of `key = value` lines."""


class VariableError(UsageError):
    """A variable of one host that cannot be used. variable: its name, from which its line is found."""

    def __init__(self, host: str, variable: str, problem: str) -> None:
        self.host, self.variable, self.problem = host, variable, problem
        super().__init__(f"host {host}: {variable}: {problem}")


class SelectionError(UsageError):
    """-H names something that is neither in the inventory nor a host that can be found."""


class NodeError(NodePrepError):
    """An error of one host. next_step: one sentence with a remedy."""

    def __init__(self, problem: str, next_step: str = "") -> None:
        self.problem, self.next_step = problem, next_step
        super().__init__(problem)


class UnreachableError(NodeError):
    """The transport failed: no route, refused, host key, authentication, connection lost."""


class RemoteError(NodeError):
    """The node was reached, but its instructions failed: no sudo, a reply that cannot be parsed, a deadline."""


class ShellEndedError(RemoteError):
    """The command on the node ended before it replied: sudo refused, or there is no shell."""


class ChangeRefusedError(RemoteError):
    """The node was reached and left unchanged: another run has its lock, or the snapshot could not be written."""
