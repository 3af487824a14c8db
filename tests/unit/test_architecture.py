"""The house rules: what may import what, and what is never imported at all."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import invoke
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TASKS = ROOT / "tasks"
FORBIDDEN_IN_CORE = {"fabric", "invoke", "paramiko", "rich", "subprocess", "socket", "threading"}


# Modules without a test of their own, each with the reason.
_A_SCREENFUL = (
    "a few lines around the rooms below; its flags are tested in tests/unit/cli, the verb itself in tests/ssh"
)
WITHOUT_A_TEST = {
    f"tasks/{verb}.py": _A_SCREENFUL
    for verb in ("apply", "fix", "hosts", "plan", "render", "rollback", "verify", "version")
}


def modules(folder: str) -> list[Path]:
    return sorted((TASKS / folder).rglob("*.py"))


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imported(path: Path) -> Iterator[str]:
    """The dotted names that a file imports, wherever in it: modules, and what is taken from them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative"
            yield node.module or ""
            yield from (f"{node.module}.{name.name}" for name in node.names)


def importers(name: str) -> set[str]:
    """The files of tasks/ that import a package or anything of it."""
    return {
        str(path.relative_to(TASKS))
        for path in TASKS.rglob("*.py")
        if any(found == name or found.startswith(f"{name}.") for found in imported(path))
    }


def test_the_core_needs_neither_network_nor_terminal_nor_threads() -> None:
    names = [dotted(path) for path in modules("core")]
    steps = ["import importlib, json, sys", *(f"importlib.import_module({name!r})" for name in names)]
    code = "\n".join([*steps, "print(json.dumps(list(sys.modules)))"])
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    bare = subprocess.run(
        [sys.executable, "-c", "import json, sys, jinja2, jinja2.sandbox; print(json.dumps(list(sys.modules)))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    # jinja2 itself takes a lock from threading; what it brings is not the core's doing.
    assert loaded & FORBIDDEN_IN_CORE <= set(json.loads(bare.stdout)) & {"threading"}


@pytest.mark.parametrize("package", sorted(FORBIDDEN_IN_CORE))
def test_no_module_of_the_core_imports_it_itself(package: str) -> None:
    assert not {path for path in importers(package) if path.startswith("core/")}


def test_the_list_of_verbs_and_their_help_load_nothing_that_only_a_run_needs() -> None:
    code = "import json, sys, fabfile, fabric.main; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    verbs = {f"tasks.{name}" for name in importlib.import_module("fabfile").ns.tasks}
    light = {"tasks.cli.task", "tasks.cli.options", "tasks.cli.executor", "tasks.cli.debugging", "tasks.cli.prompts"}
    light |= {"tasks.core.errors", "tasks.core.redact", "tasks.core.verb"}
    own = {"tasks", "tasks.core", "tasks.cli", *verbs, *light}
    lab = {"lab", "lab.tasks", "lab.errors", "lab.options", "lab.vm", "lab.vm.flavours"}
    assert {name for name in loaded if name.split(".")[0] in ("tasks", "lab")} == own | lab
    assert not {"jinja2", "rich"} & loaded  # yaml comes with invoke


def test_paramiko_is_imported_at_the_edge_only() -> None:
    assert {path for path in importers("paramiko") if not path.startswith("ssh/")} == set()


def test_nothing_connects_past_the_session() -> None:
    """fabric's own connection would accept any host key."""
    assert importers("fabric.Connection") | importers("fabric.connection") == set()
    assert importers("tasks.ssh.transport") | importers("tasks.ssh.connect") == {"ssh/session.py"}


def test_no_module_starts_programs() -> None:
    assert importers("subprocess") <= {"ssh/proxy.py", "ssh/config.py"}


def test_packages_are_empty_so_that_the_core_can_be_imported_alone() -> None:
    assert [path for path in TASKS.rglob("__init__.py") if path.read_text()] == []
    assert (TASKS / "__init__.py").exists()


def test_the_executor_that_fabric_yaml_names_is_there() -> None:
    settings = yaml.safe_load((ROOT / "fabric.yaml").read_text(encoding="utf-8"))
    module, _, name = settings["tasks"]["executor_class"].rpartition(".")
    assert issubclass(getattr(importlib.import_module(module), name), invoke.Executor)


def test_what_fabric_yaml_names_is_there() -> None:
    settings = yaml.safe_load((ROOT / "fabric.yaml").read_text(encoding="utf-8"))["nodeprep"]
    assert (ROOT / settings["inventory"]).is_file()
    assert (ROOT / settings["templates"] / settings["profile"]).is_dir()


def test_every_verb_is_in_a_file_of_its_name_and_a_screenful() -> None:
    collection = importlib.import_module("fabfile").ns
    for name in collection.tasks:
        path = TASKS / f"{name}.py"
        assert path.is_file()
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 40


def functions() -> Iterator[tuple[str, int]]:
    for path in TASKS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.name}:{node.name}", (node.end_lineno or 0) - node.lineno + 1


def test_functions_are_small() -> None:
    sizes = sorted(functions(), key=lambda found: found[1])
    assert sizes[-1][1] <= 50, sizes[-1]
    assert sizes[len(sizes) // 2][1] <= 8


def test_every_module_has_the_test_of_its_name_or_a_written_reason() -> None:
    modules = {path.relative_to(TASKS) for path in TASKS.rglob("*.py") if path.name != "__init__.py"}
    mirrors = {path: ROOT / "tests/unit" / path.with_name(f"test_{path.name}") for path in modules}
    missing = {f"tasks/{path}" for path, mirror in mirrors.items() if not mirror.is_file()}
    assert missing == set(WITHOUT_A_TEST)
