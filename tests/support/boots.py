"""Builders for tests of the next boot: facts from a dict of configuration files."""

from __future__ import annotations

from tasks.core.boot.inits import MODULES_LOAD_UNIT, SYSCTL_UNIT
from tasks.core.boot.simulation import NextBoot
from tasks.core.facts import Facts, FileFact, UnitState
from tasks.core.ownfiles import RenderedFile
from tasks.core.plan.desired import resolve
from tests.support.builders import rendered

DEBIAN = {"/etc/runlevels/sysinit/kmod": "/etc/init.d/kmod", "/etc/runlevels/sysinit/procps": "/etc/init.d/procps"}
ALPINE = {"/etc/runlevels/boot/modules": "/etc/init.d/modules", "/etc/runlevels/boot/sysctl": "/etc/init.d/sysctl"}
LISTED = {"/etc/modules-load.d/a.conf": "foo"}
UNITS = {f"/usr/lib/systemd/system/{unit}": UnitState.PRESENT for unit in (MODULES_LOAD_UNIT, SYSCTL_UNIT)}


def facts(
    files: dict[str, str],
    *,
    values: dict[str, str] | None = None,
    masked: str = "",
    cmdline: str = "",
    needs: dict[str, frozenset[str]] | None = None,
    builtin: str = "",
    loaded: tuple[str, ...] = (),
    runs: str = "systemd/system",
    links: dict[str, str] | None = None,
    units: dict[str, UnitState] | None = None,
) -> Facts:
    """Return facts of a node with these configuration files; an empty text is an empty file. runs: its init's folder in
    /run."""
    found = {path: _file(path, text) for path, text in files.items()}
    found |= {path: _file(path, "")._replace(kind="l", link=link) for path, link in (links or {}).items()}
    shown = {f"/proc/sys/{key.replace('.', '/')}": value for key, value in (values or {}).items()}
    mask = f"/etc/systemd/system/{masked}"
    return Facts(
        values={**shown, "/proc/cmdline": cmdline},
        present=frozenset({f"/run/{runs}"}),
        loaded=frozenset(loaded),
        sysfs_modules=frozenset(),
        module_index={builtin: True} if builtin else {},
        has_module_index=True,
        uid=0,
        files=found,
        complaints={},
        dependencies=needs or {},
        units={**UNITS, **(units or {}), **({mask: UnitState.MASKED} if masked else {})},
    )


def _file(path: str, text: str) -> FileFact:
    lines = tuple((n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip() and line[0] not in "#;")
    return FileFact(path, "-", 0o644, 0, len(text), None, lines)


def boot(files: dict[str, str], **more: object) -> NextBoot:
    """Return the simulation of the next boot of a node with these files."""
    known = facts(files, **more)  # type: ignore[arg-type]
    return NextBoot(known, known.files)


def applied(*more: tuple[str, str], **how: object) -> tuple[Facts, list[RenderedFile]]:
    """A node that has the profile `a.b = 1` and the module foo, in files and running, and other files besides."""
    text, modules = "net.core.somaxconn = 1\n", "foo\n"
    bare = facts({}, values={"net.core.somaxconn": "1"}, loaded=("foo",))
    files = list(resolve([rendered(text, modules)], bare).files)
    ours = {file.path: "\n".join(file.lines) for file in files}
    known = facts({**ours, **dict(more)}, values={"net.core.somaxconn": "1"}, loaded=("foo",), **how)  # type: ignore[arg-type]
    return known, files
