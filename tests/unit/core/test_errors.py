from __future__ import annotations

import pytest

from tasks.core.errors import NodeError, ProfileError, SourceError, UnreachableError, UsageError


@pytest.mark.parametrize(("line", "text"), [(7, "hosts.ini:7: no group"), (0, "hosts.ini: no group")])
def test_an_error_of_a_file_names_the_place(line: int, text: str) -> None:
    error = ProfileError("hosts.ini", line, "no group")
    assert (str(error), error.source, error.line, error.problem) == (text, "hosts.ini", line, "no group")
    assert isinstance(error, SourceError)
    assert isinstance(error, UsageError)


def test_an_error_of_a_node_is_its_problem_and_never_one_of_usage() -> None:
    error = UnreachableError("refused", "start sshd")
    assert (str(error), error.problem, error.next_step) == ("refused", "refused", "start sshd")
    assert isinstance(error, NodeError)
    assert not isinstance(error, UsageError)
