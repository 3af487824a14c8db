"""Files of the admin: shown as the admin names them, written as a whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.core.errors import UsageError
from tasks.local.files import check_writable, display_path, write_whole


def test_a_path_is_shown_as_the_admin_would_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert display_path(tmp_path / "templates" / "a") == "templates/a"
    assert display_path(Path("/etc/x")) == "/etc/x"
    assert display_path(Path("hosts.ini")) == "hosts.ini"


def test_a_file_is_saved_as_a_whole_with_the_rights_that_new_files_have(tmp_path: Path) -> None:
    path, umask = tmp_path / "run.json", os.umask(0o027)
    try:
        check_writable(path)
        assert list(tmp_path.iterdir()) == []
        write_whole(path, ["old \udc80", " text\n"])
        write_whole(path, ["new\n"])
    finally:
        os.umask(umask)
    assert path.read_text() == "new\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("target", ["real", "missing", "../outside"])
def test_a_link_is_replaced_and_never_followed(target: str, tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    for name in ("reports/real", "outside"):
        (tmp_path / name).write_text("of somebody else")
    (folder / "link").symlink_to(target)
    check_writable(folder / "link")
    write_whole(folder / "link", ["x"])
    assert not (folder / "link").is_symlink()
    assert (folder / "link").read_text() == "x"
    assert (folder / "real").read_text() == (tmp_path / "outside").read_text() == "of somebody else"
    assert not (folder / "missing").exists()


def test_a_link_to_something_that_is_not_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="expected a file, got something else"):
        check_writable(tmp_path / "link")


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/shm/../run.json"])
def test_nothing_is_put_in_the_place_of_a_device(path: str) -> None:
    with pytest.raises(UsageError, match="expected a file, got something else"):
        check_writable(Path(path))


def test_a_file_that_cannot_be_saved_leaves_the_old_one_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    write_whole(tmp_path / "run.json", ["old"])
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "run.json", ["new"])
    assert (tmp_path / "run.json").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("path", "why"), [("no/such/run.json", "No such file"), (".", "something else")])
def test_where_nothing_can_be_saved_is_known_before(path: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"--report .*{why}"):
        check_writable(tmp_path / path)


def test_a_device_is_not_replaced_by_a_report() -> None:
    with pytest.raises(UsageError, match="expected a file, got something else"):
        check_writable(Path("/dev/null"))


def test_a_report_may_lie_in_memory(tmp_path: Path) -> None:
    path = Path("/dev/shm") / f"nodeprep-{os.getpid()}.json"
    check_writable(path)
    assert not path.exists()
