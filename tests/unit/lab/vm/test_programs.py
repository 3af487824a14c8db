from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import LabError, LabUsageError
from lab.vm import programs


def test_missing_programs_are_named_by_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "find", lambda program: None)
    with pytest.raises(LabUsageError, match="apt install qemu-system-x86 qemu-utils"):
        programs.require(["qemu-img", "qemu-system-x86_64"])


def test_a_failed_step_quotes_its_log(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="sh ended with status 3:\n    the reason"):
        programs.run(["sh", "-c", "echo the reason; exit 3"], tmp_path / "log")


def test_a_step_reads_and_writes_streams(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"text")
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as sink:
        programs.run(["cat"], tmp_path / "log", source, sink)
    assert (tmp_path / "out").read_bytes() == b"text"


def test_the_end_of_an_empty_log_says_so(tmp_path: Path) -> None:
    assert programs.tail(tmp_path / "none.log") == "    (none.log is empty)"
