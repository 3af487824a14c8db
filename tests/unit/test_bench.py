"""The bench's own arithmetic: what counts as a run, medians, ratios, targets, the page and the picture."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from packaging.requirements import Requirement

from bench import cost, environments, run
from bench.__main__ import parse_arguments, parse_block
from bench.campaign import run_turn
from bench.drivers import DRIVERS, FIRST, NODEPREP, SECOND, TUNED, VERIFY
from bench.matrix import FULL, QUICK, Block, Turn, turns
from bench.measure import TIMED_OUT, measure
from bench.plot import svg
from bench.report import markdown
from bench.results import Cost, Results, Row, read, write
from bench.targets import Target, compare, targets
from bench.work import MODULES_FILE, SYSCTL_FILE, Work
from lab.fleet.fleet import FleetError

WORK = Work("# two\noverlay\nbr_netfilter\n", "net.ipv4.ip_forward = 1\nnet.ipv4.tcp_mem = 1\t2  3\n")


def row(driver: str = NODEPREP, phase: str = FIRST, nodes: int = 50, wall: float = 1.0, **more: object) -> Row:
    plain = Row(driver, phase, nodes, 0, 0, 0, 0, wall, 0.5, 40, 2.0, nodes, 0, 0)
    return replace(plain, **more)  # type: ignore[arg-type]


# ---- rows ----


def test_a_median_leaves_out_runs_that_failed_or_left_a_node_wrong() -> None:
    rows = [row(wall=1), row(wall=2), row(wall=9), row(wall=100, code=1), row(wall=200, wrong=1)]
    assert Results(rows=rows).median("wall", NODEPREP, FIRST, 50) == 2


def test_what_was_not_measured_there_has_no_median() -> None:
    results = Results(rows=[row(), row(nodes=200), row(code=4, phase=SECOND)])
    assert results.median("wall", NODEPREP, VERIFY, 50) is None
    assert results.median("wall", NODEPREP, SECOND, 50) is None
    assert results.median("wall", NODEPREP, FIRST, 50, 100) is None


def test_round_trips_are_the_difference_of_the_fastest_runs_at_two_delays() -> None:
    near = [row(nodes=1, rtt_ms=50, wall=wall) for wall in (0.9, 0.5)]
    far = [row(nodes=1, rtt_ms=100, wall=wall) for wall in (0.95, 1.7)]
    assert Results(rows=[*near, *far]).round_trips(NODEPREP, FIRST, (50, 100)) == pytest.approx(9)
    assert Results(rows=near).round_trips(NODEPREP, FIRST, (50, 100)) is None


def test_the_fastest_comes_first_and_who_never_succeeded_last() -> None:
    rows = [row("clush", wall=0.1, code=1), row("pssh", wall=3), row(wall=2)]
    assert Results(rows=rows).drivers(50, 0) == [NODEPREP, "pssh", "clush"]


def test_what_was_written_is_what_is_read(tmp_path: Path) -> None:
    results = Results({"machine": "two cores"}, [row(), row(said="oh", code=4)], [Cost(NODEPREP, FIRST, 4, 6, 1902)])
    write(tmp_path / "rows", results)
    assert read(tmp_path / "rows") == results


# ---- targets ----


def test_a_ratio_is_of_medians_and_met_up_to_its_limit() -> None:
    results = Results(rows=[row(wall=1), row("clush", wall=2)])
    met = compare(results, "clush", FIRST, 50, 0, 0.5)
    assert (met.measured, met.met) == (0.5, "yes")
    assert compare(results, "clush", FIRST, 50, 0, 0.49).met == "**no**"


def test_a_target_whose_peer_failed_is_not_measured() -> None:
    results = Results(rows=[row(wall=1), row("clush", wall=2, wrong=3)])
    assert compare(results, "clush", FIRST, 50, 0, 0.5).met == "not measured"


def test_the_floor_is_the_prototype_that_does_the_least_against_the_same_peer() -> None:
    results = Results(rows=[row(wall=1), row("one-flight", wall=0.8), row("clush", wall=2)])
    target = compare(results, "clush", FIRST, 50, 0, 0.5)
    assert (target.measured, target.floor) == (0.5, 0.4)
    assert compare(Results(rows=results.rows[::2]), "clush", FIRST, 50, 0, 0.5).floor is None


def test_cost_at_scale_is_for_each_node_and_memory_is_not() -> None:
    few, many = row(nodes=200, cpu=1.0, memory_mb=50), row(nodes=5000, cpu=50.0, memory_mb=60)
    rows = [replace(each, phase=VERIFY) for each in (few, many)]
    found = {target.work: target.measured for target in targets(Results(rows=rows))}
    assert found["client CPU a node at 5,000, verify"] == pytest.approx(2)
    assert found["peak memory at 5,000, verify"] == pytest.approx(1.2)


def test_every_target_is_measured_by_one_pass_of_the_quick_matrix() -> None:
    rows = [
        row(turn.driver, phase, turn.nodes, rtt_ms=turn.rtt_ms, wall=1 + turn.rtt_ms)
        for turn in turns(QUICK)
        if turn.rep == 0
        for phase in turn.phases
        if phase in DRIVERS[turn.driver].commands
    ]
    rows += [row(name, "start-up", 0) for name in ("fab --list", "fab --version")]
    assert not [target for target in targets(Results(rows=rows)) if target.measured is None]


# ---- what is run ----


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--drivers", "clush,xargs"], "--drivers: there is no 'xargs'; there are nodeprep, "),
        (["--phases", "third"], "--phases: there is no 'third'; there are first, second, plan, verify"),
        (["--place", "many"], "--place many: expected numbers, such as 50:0:3"),
        (["--place", "50:0:3:1:x"], "--place 50:0:3:1:x: expected numbers"),
    ],
)
def test_a_wrong_argument_is_told_before_anything_is_measured(
    words: list[str], complaint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    with pytest.raises(SystemExit, match="2"):
        parse_arguments()
    assert complaint in capsys.readouterr().err


def test_drivers_take_turns_and_begin_in_turn() -> None:
    blocks = (Block(50, 0, 2, ("clush", "pssh")), Block(1, 50, 1, ("ssh",)))
    order = [(turn.rep, turn.driver) for turn in turns(blocks)]
    assert order == [(0, "clush"), (0, "pssh"), (0, "ssh"), (1, "pssh"), (1, "clush")]


@pytest.mark.parametrize("blocks", [QUICK, FULL], ids=["quick", "full"])
def test_the_matrix_names_only_drivers_that_there_are(blocks: tuple[Block, ...]) -> None:
    assert {driver for block in blocks for driver in block.drivers} <= set(DRIVERS)


def test_the_full_matrix_has_every_size_and_every_driver() -> None:
    assert {block.nodes for block in FULL} == {1, 10, 50, 200, 1000, 5000}
    assert {driver for block in FULL for driver in block.drivers} == set(DRIVERS)


@pytest.mark.parametrize(("place", "expected"), [("50", (50, 0, 1)), ("1:50", (1, 50, 1)), ("10:0:3", (10, 0, 3))])
def test_a_place_is_nodes_and_perhaps_delay_and_repetitions(place: str, expected: tuple[int, float, int]) -> None:
    block = parse_block(place, "clush", "first,second")
    assert (block.nodes, block.rtt_ms, block.reps) == expected
    assert (block.drivers, block.phases) == (("clush",), (FIRST, SECOND))


def test_a_fleet_that_does_not_start_is_a_failure_that_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> object:
        raise FleetError("no memory")

    monkeypatch.setattr(run, "run_driver", broken)
    rows = list(run_turn(Turn("clush", 5000, 0, 0, (FIRST,)), WORK))
    assert [(row.good, row.nodes) for row in rows] == [(False, 5000)]
    assert "no memory" in markdown(Results(rows=rows))


def test_the_pins_of_nodeprep_are_within_its_requirements() -> None:
    def lines(path: Path) -> dict[str, Requirement]:
        found = [Requirement(line) for line in path.read_text().splitlines() if line[:1] not in "#-"]
        return {each.name.lower(): each for each in found}

    pins = lines(environments.PINS / "fabric.txt")
    for name, wanted in lines(environments.ROOT / "requirements.txt").items():
        version = str(pins[name].specifier).removeprefix("==")
        assert wanted.specifier.contains(version), f"{name} {version}"


# ---- the work ----


def test_the_work_is_what_show_prints() -> None:
    files = {MODULES_FILE: WORK.modules_text, SYSCTL_FILE: WORK.sysctl_text}
    assert Work.from_show(json.dumps({"files": {"n1": files}})) == WORK
    assert WORK.modules == ["overlay", "br_netfilter"]
    assert WORK.keys == {"net.ipv4.ip_forward": "1", "net.ipv4.tcp_mem": "1 2 3"}


def test_the_peers_script_is_shell_with_every_place_filled() -> None:
    script = WORK.script()
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)
    assert "  $1 'net.ipv4.tcp_mem = 1 2 3'\n" in script
    assert not re.search("@[A-Z_]+@", script)


def node(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


RIGHT = {
    "/proc/modules": "overlay 16384 0 - Live 0x0\nbr_netfilter 16384 0 - Live 0x0\n",
    "/proc/sys/net/ipv4/ip_forward": "1\n",
    "/proc/sys/net/ipv4/tcp_mem": "1\t2\t3\n",
    MODULES_FILE: "overlay\nbr_netfilter\n",
    SYSCTL_FILE: "net.ipv4.tcp_mem=1 2 3\nnet.ipv4.ip_forward=1\n",
}


def test_a_node_made_right_is_right(tmp_path: Path) -> None:
    assert WORK.wrong(node(tmp_path, WORK.files())) == []


def test_a_node_is_right_however_its_files_were_written(tmp_path: Path) -> None:
    assert WORK.wrong(node(tmp_path, RIGHT)) == []


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [
        ("/proc/modules", "overlay 16384 0 - Live 0x0\n", "module br_netfilter is not loaded"),
        ("/proc/sys/net/ipv4/ip_forward", "0\n", "net.ipv4.ip_forward is 0"),
        (MODULES_FILE, "overlay\n#br_netfilter\n", "module br_netfilter is not kept"),
        (SYSCTL_FILE, "net.ipv4.tcp_mem = 1 2 3\n", "net.ipv4.ip_forward is kept as None"),
    ],
)
def test_the_check_from_outside_sees_each_thing_that_is_wrong(
    tmp_path: Path, path: str, text: str, complaint: str
) -> None:
    assert WORK.wrong(node(tmp_path, {**RIGHT, path: text})) == [complaint]


# ---- measuring ----


LEAVES_ONE_BEHIND = """
import os, signal, time
said, saying = os.pipe()
if os.fork():
    os.read(said, 1)
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
while time.process_time() < 0.3:
    pass
os.write(saying, b".")
signal.pause()
"""


def test_the_cpu_of_a_process_that_was_left_behind_is_counted_and_it_is_ended(tmp_path: Path) -> None:
    out = tmp_path / "figures"
    command = [sys.executable, "-m", "bench.measure", "60", str(out), sys.executable, "-c", LEAVES_ONE_BEHIND]
    subprocess.run(command, cwd=environments.ROOT, check=True, timeout=60)  # ends when all have ended
    figures = json.loads(out.read_text())
    assert figures["code"] == 0
    assert figures["cpu"] >= 0.3


def test_a_command_without_an_end_is_ended_and_says_so() -> None:
    assert measure(["sleep", "600"], 0.2)["code"] == TIMED_OUT


def test_calls_that_failed_are_no_processes() -> None:
    summary = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000600         100         6         2 execve
 40.00    0.000400         100         4           clone
  0.00    0.000000           0         1           vfork
------ ----------- ----------- --------- --------- ----------------
100.00    0.001000                    11         2 total
"""
    assert cost.sum_calls(NODEPREP, FIRST, [summary, summary]) == Cost(NODEPREP, FIRST, forks=10, execs=8, calls=22)


# ---- what is read ----


def some() -> Results:
    rows = [
        *(row(nodes=nodes, wall=nodes / 40) for nodes in (1, 50, 200)),
        *(row(TUNED, nodes=nodes, wall=nodes / 50) for nodes in (1, 50)),
        row("clush", wall=2, code=255, wrong=7, said="Permission denied"),
        row(nodes=1, rtt_ms=50.0),
    ]
    return Results({"machine": "two cores"}, rows, [Cost(NODEPREP, VERIFY, 4, 6, 1902)])


def test_the_page_names_every_failure() -> None:
    page = markdown(some())
    assert (
        "- clush, first, 50 nodes, 0 ms, repetition 1: exit code 255, 7 nodes not as desired. Permission denied" in page
    )
    assert "1 of 7 runs." in page
    assert "| clush | first apply | 0 | - |" in page


def test_the_page_has_the_targets_and_what_a_node_does() -> None:
    page = markdown(some())
    assert "| 50 near nodes, first apply | paramiko prototype, tuned, threads | 1.3 | 1.25 | - | yes |" in page
    assert "| nodeprep | verify | 4 | 6 | 1,902 |" in page


def test_the_picture_has_a_line_for_each_who_was_measured_twice_over() -> None:
    root = ET.fromstring(svg(some()))
    lines = root.findall(".//{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 4  # two of them, in two panels
    assert all(len(line.attrib["points"].split()) in (2, 3) for line in lines)


def test_nothing_measured_is_an_empty_picture_and_an_honest_page() -> None:
    ET.fromstring(svg(Results()))
    assert "0 of 0 runs." in markdown(Results())


def test_a_target_that_is_not_measured_is_neither_met_nor_missed() -> None:
    assert Target("work", "peer", 1, None).met == "not measured"
