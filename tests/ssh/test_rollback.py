"""rollback: what apply and fix did is taken back, and nothing is left on the node."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.fleet.fleet import PASSWORD, Fleet
from tests.ssh.suite import FIX_SYSCTL, SYSCTL, Suite

STORE = "/var/lib/nodeprep"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(20) as many:
        yield many


def left(suite: Suite, host: str, before: dict[str, tuple[int, str]]) -> set[str]:
    """What differs on a node, but for folders: an overlay copies them, and unloading leaves them empty."""
    after = suite.fleet.snapshot(host)
    differing = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    return {path for path in differing if not suite.fleet.path(host, path).is_dir() and not path.startswith("/sys/")}


@pytest.mark.parametrize(
    "login", [{"user": "root"}, {"user": "admin"}, {"user": "operator", "become_password": PASSWORD}, {"user": "fishy"}]
)
def test_apply_and_rollback_leave_nothing(suite: Suite, login: dict[str, str]) -> None:
    """Nor does it need the templates, which may be broken by then."""
    host = suite.fresh("n", **login)
    before = suite.fleet.snapshot(host)
    assert suite.json("apply").statuses == {"n": "changed"}
    done = suite.json("rollback", env={"FABRIC_NODEPREP_TEMPLATES": "/nowhere"})
    assert (done.code, done.statuses) == (0, {"n": "changed"}), done.text
    assert {item["status"] for item in done.items("n").values()} == {"changed", "ok"}
    assert left(suite, host, before) == set()
    assert not suite.fleet.path(host, STORE).exists()
    assert not suite.fleet.path(host, "/run/nodeprep.lock").exists()
    assert suite.json("rollback").statuses == {"n": "ok"}


def test_files_come_back_to_the_byte_with_their_mode(suite: Suite) -> None:
    host = suite.fresh("n")
    mine = "# Mine.\nvm.swappiness = 7   \nno newline at the end"
    suite.fleet.write(host, SYSCTL, mine)
    suite.fleet.path(host, SYSCTL).chmod(0o600)
    time = suite.fleet.path(host, SYSCTL).stat().st_mtime_ns
    assert suite.json("apply").code == 0
    assert suite.json("rollback").statuses == {"n": "changed"}
    found = suite.fleet.path(host, SYSCTL)
    assert (found.read_text(), found.stat().st_mode & 0o7777, found.stat().st_mtime_ns) == (mine, 0o600, time)


def test_the_newest_change_is_taken_back_and_an_older_run_by_its_name(suite: Suite) -> None:
    host = suite.fresh("n", user="admin")
    before = suite.fleet.snapshot(host)
    for value in ("10", "20", "30"):
        assert suite.json("fix", f"vm.swappiness={value}").code == 0
    listed = suite.json("rollback", "--list").data["snapshots"]["n"]
    assert [(each["what"].startswith("fix by "), each["of"]) for each in listed] == [(True, "1 file, 1 key")] * 3
    assert all(each["what"].endswith(" (admin)") and each["time"].endswith(" UTC") for each in listed)
    assert suite.json("rollback").statuses == {"n": "changed"}
    assert suite.value(host, "vm.swappiness") == "20"
    assert "vm.swappiness = 20\n" in suite.fleet.read(host, FIX_SYSCTL)
    assert suite.json("rollback", "--to-run", listed[-1]["run"]).statuses == {"n": "changed"}
    assert left(suite, host, before) == set()


def test_a_run_that_a_node_does_not_know_is_that_nodes_failure(suite: Suite) -> None:
    host, _ = suite.fresh("one"), suite.fresh("two")
    assert suite.json("apply", on="one").code == 0
    run = suite.json("rollback", "--list", on="one").data["snapshots"]["one"][0]["run"]
    done = suite.json("rollback", "--to-run", "20200101-000000-0000")
    assert (done.code, done.statuses) == (4, {"one": "failed", "two": "ok"})
    assert f"it has {run}" in done.problem("one")
    assert suite.json("rollback", "--to-run", "99990101-000000-0000").statuses == {"one": "ok", "two": "ok"}
    assert suite.fleet.path(host, SYSCTL).exists()


def test_a_plan_and_a_list_write_nothing_and_ask_for_no_lock(suite: Suite) -> None:
    host = suite.fresh("n", user="admin")
    assert suite.json("apply").code == 0
    before = suite.fleet.snapshot(host)
    for words, core in ((("--plan",), ()), (("--list",), ()), ((), ("--dry",))):
        assert suite.json("rollback", *words, core=core).code == 0
    planned = suite.json("rollback", "--plan")
    assert (planned.data["verb"], planned.statuses) == ("rollback --plan", {"n": "drift"})
    assert suite.fleet.snapshot(host) == before


def test_a_module_that_something_else_needs_stays_and_the_snapshot_with_it(suite: Suite) -> None:
    host = suite.fresh("n", user="admin")
    assert suite.json("fix", "nf_conntrack").code == 0
    suite.fleet.write(host, "/proc/modules", "ip_vs 1 0 - Live 0x0\n" + suite.fleet.read(host, "/proc/modules"))
    done = suite.json("rollback")
    assert (done.code, done.statuses) == (4, {"n": "failed"})
    wrong = done.items("n", wrong=True)
    assert "in use by: ip_vs" in wrong["nf_conntrack"]["why"]
    assert "reboot" in wrong["nf_conntrack"]["next_step"]
    assert "kept" in " ".join(done.node("n")["notes"])
    (store,) = suite.fleet.path(host, STORE).iterdir()
    modules = suite.fleet.read(host, "/proc/modules").replace("ip_vs 1 0 - Live 0x0\n", "")
    suite.fleet.write(host, "/proc/modules", modules)
    assert suite.json("rollback").statuses == {"n": "changed"}
    assert not store.exists()


def test_lines_that_were_taken_over_come_back_unless_someone_changed_them(suite: Suite) -> None:
    host = suite.fresh("n", user="admin")
    text = "# mine\nnet.core.somaxconn = 77\nvm.max_map_count = 5\n"
    suite.fleet.write(host, "/etc/sysctl.d/zz-late.conf", text)
    suite.fleet.write(host, "/run/systemd/system/x", "")  # only where the next boot is understood lines are taken over
    for unit in ("modules-load", "sysctl"):
        suite.fleet.write(host, f"/etc/systemd/system/systemd-{unit}.service", "[Unit]\n")
    assert suite.json("apply", "--comment-out-conflicts").code == 0
    taken = suite.fleet.read(host, "/etc/sysctl.d/zz-late.conf")
    assert taken.count("# taken over by nodeprep: ") == 2
    changed = "# a new first line\n" + taken.replace("vm.max_map_count = 5", "vm.max_map_count = 6")
    suite.fleet.write(host, "/etc/sysctl.d/zz-late.conf", changed)
    done = suite.json("rollback")
    assert done.statuses == {"n": "changed"}, done.text
    assert suite.fleet.read(host, "/etc/sysctl.d/zz-late.conf") == (
        "# a new first line\n# mine\nnet.core.somaxconn = 77\n# taken over by nodeprep: vm.max_map_count = 6\n"
    )
    items = done.items("n")
    assert items["/etc/sysctl.d/zz-late.conf:2"]["status"] == "changed"
    assert items["/etc/sysctl.d/zz-late.conf:3"]["status"] == "skipped"
    assert "left alone" in items["/etc/sysctl.d/zz-late.conf:3"]["why"]


def test_an_apply_that_changes_nothing_in_the_end_leaves_no_snapshot(suite: Suite) -> None:
    """Again and again: it would push out those that matter."""
    host = suite.fresh("n", user="admin")
    suite.fleet.write(host, "/etc/modprobe.d/x.conf", "install dummy /bin/false\n")
    assert suite.json("fix", "dummy", "--no-persist").code == 4
    assert not suite.fleet.path(host, STORE).exists()


def test_two_rollbacks_keep_apart_like_any_two_changes(suite: Suite) -> None:
    host = suite.fresh("n", user="admin")
    assert suite.json("fix", "vm.swappiness=10").code == 0
    boot = suite.fleet.read(host, "/proc/sys/kernel/random/boot_id").strip()
    lock = suite.fleet.path(host, "/run") / "nodeprep.lock"
    lock.write_text(f"1 0 {boot} 00ff rollback bob@desk 20261125-021502-a3f1\n")
    done = suite.json("rollback")
    assert (done.code, "locked by bob@desk: rollback since" in done.problem("n")) == (4, True)
    assert suite.value(host, "vm.swappiness") == "10"
    assert suite.json("rollback", "--force-unlock").statuses == {"n": "changed"}


@pytest.mark.parametrize("words", [("--only", "modules"), ("--profile", "kubernetes"), ("--list", "--format", "junit")])
def test_flags_that_mean_nothing_here_end_before_any_connection(suite: Suite, words: tuple[str, ...]) -> None:
    host = suite.fresh("n")
    assert suite.fab("rollback", *words).code == 2
    assert suite.fleet.connections(host) == 0
