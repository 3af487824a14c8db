"""The next boot, simulated from a node's own files: the modules and keys, each with the file and line that decides.

Sources: modules-load.d(5), sysctl.d(5), modprobe.d(5), kernel-command-line(7), the programs that read them (inits.py),
and the kernels of the lab's nodes (tests/lab). The command line is the running kernel's: a boot loader's files may be
readable for root only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from tasks.core.boot.files import (
    COMMAND_LINE,
    SYSCTL,
    Obstacle,
    ObstacleKind,
    files_in_order,
    kernel_arguments,
    lines_of,
)
from tasks.core.boot.inits import (
    Dialect,
    Init,
    ModuleLoader,
    SysctlSetter,
    init_of,
    is_busybox,
    unit_state,
)
from tasks.core.boot.modules import BootModules
from tasks.core.boot.sysctl import Assignment, BootWrites, SetterRun
from tasks.core.boot.units import find_unit_changes
from tasks.core.facts import Facts, FileFact, Line, ModuleState, UnitState
from tasks.core.memo import memoized

UFW_CONF, UFW_SYSCTL = "/etc/ufw/ufw.conf", "/etc/ufw/sysctl.conf"  # set with `sysctl -p` when ufw starts


class NextBoot:
    """The next boot of a node with the given files.

    files: the node's configuration by path, with our own files as they are or as they will be.
    """

    def __init__(self, facts: Facts, files: Mapping[str, FileFact]) -> None:
        self._facts, self._files = facts, files
        self._init = init_of(facts)
        self._arguments = kernel_arguments(facts.values.get(COMMAND_LINE) or "")
        ufw, busybox = "ENABLED=yes" in facts.lines(UFW_CONF), is_busybox(facts, "modprobe")
        needs = tuple(facts.dependencies.items())
        self._writes, self._modules = _simulated(
            self._known, self._arguments, tuple(files.values()), needs, ufw, busybox
        )
        self._unloaded = self._service_obstacle(self._known.loader, "loads modules")
        self._unset = self._service_obstacle(self._known.setter, "sets keys")

    @property
    def simulated(self) -> bool:
        """Return whether this node's init system is known."""
        return self._init is not None

    def without_lines(self, lines: Collection[Line]) -> NextBoot:
        """Return the same boot with these lines turned into comments."""
        removed = {(line.path, line.number) for line in lines}
        return NextBoot(self._facts, {path: _without_lines(file, removed) for path, file in self._files.items()})

    def key(self, key: str) -> Assignment | None:
        """Return the assignment that a key has after the next boot, None where no line assigns it.

        Its value is None where a line forbids it.
        """
        return self._writes.last(key)

    def key_history(self, key: str) -> list[Assignment]:
        """Return the assignments that a key has in turn if the lines of those before them are gone."""
        return self._writes.history(key)

    @property
    def _known(self) -> Init:
        return self._init or Init("unknown", None, None)

    def setter_obstacle(self) -> Obstacle | None:
        """Return the reason that no key at all is set at the next boot, None if keys are set."""
        return self._unset

    def has_module(self, name: str) -> bool:
        """Return whether this kernel has the module as a file that is or can be loaded, not built in."""
        return self._facts.module(name) in (ModuleState.LOADED, ModuleState.LOADABLE)

    def module_obstacle(self, name: str) -> Obstacle | None:
        """Return the reason that a module will not be there after the next boot, None if it will."""
        state = self._facts.module(name)
        if state is ModuleState.BUILTIN or (self._facts.container and state is ModuleState.LOADED):
            return None
        if obstacle := self._modules.blocked(name) or self._unloaded:
            return obstacle
        return None if self._modules.loaded_by(name) else self._modules.not_requested(name)

    def module_line(self, name: str) -> Line | None:
        """Return the line that loads a module at the next boot, None if there is none."""
        return self._modules.loaded_by(name)

    def _service_obstacle(self, service: ModuleLoader | SysctlSetter | None, purpose: str) -> Obstacle | None:
        if service is None:
            return Obstacle(f"no init script that {purpose} is started", Line(self._known.name, 0, ""))
        return self._unit_obstacle(service.name) if self._known.units else None

    def _unit_obstacle(self, unit: str) -> Obstacle | None:
        """Return the obstacle of a unit that is masked (/dev/null or an empty file in the first folder) or missing."""
        if any(name == "systemd.mask" and value in (unit, unit.rpartition(".")[0]) for name, value in self._arguments):
            return Obstacle(
                f"{unit} is masked", Line(COMMAND_LINE, 0, f"systemd.mask={unit}"), ObstacleKind.UNIT_MASKED
            )
        found = unit_state(self._facts, unit)
        if found is None:
            return Obstacle(f"{unit} is not installed", Line(unit, 0, ""), ObstacleKind.UNIT_MISSING)
        path, state = found
        if state is not UnitState.MASKED:
            return None
        return Obstacle(f"{unit} is masked", Line(path, 0, ""), ObstacleKind.UNIT_MASKED)

    def notes(self) -> list[str]:
        """Return sentences about the limits of this simulation, and about lines without effect."""
        if self._init is None:
            return ["its init system is not known: the next boot was not checked"]
        notes = (
            []
            if self._init.verified
            else [f"{self._init.name}: its rules for the next boot are read in its scripts, not tested"]
        )
        if self._facts.container:
            notes.append("a container: its host decides which modules it has and whether it may set keys at its start")
        return [*notes, *_pasted_notes(self._modules.pasted_commands())]

    def unit_changes(self) -> tuple[Line, ...]:
        """Return the admin's lines that change the units of systemd; with them the next boot is not known."""
        return tuple(find_unit_changes(self._facts)) if self._known.units else ()


@memoized(maxsize=64)  # nodes of a fleet boot alike
def _simulated(
    init: Init,
    arguments: tuple[tuple[str, str], ...],
    files: tuple[FileFact, ...],
    needs: tuple[tuple[str, frozenset[str]], ...],
    ufw: bool,
    busybox: bool,
) -> tuple[BootWrites, BootModules]:
    found = {file.path: file for file in files}
    writes = BootWrites(_setter_runs(init.setter, arguments, found, ufw=ufw))
    return writes, BootModules(init, arguments, found, dict(needs), busybox=busybox)


def _setter_runs(
    setter: SysctlSetter | None, arguments: Iterable[tuple[str, str]], files: Mapping[str, FileFact], *, ufw: bool
) -> Iterator[SetterRun]:
    """Yield the runs that set keys: the kernel's (`sysctl.KEY=VALUE` on its command line), the setter's, ufw's."""
    pairs = [(name, value) for name, value in arguments if name.startswith(("sysctl.", "sysctl/"))]
    yield SetterRun(tuple(Line(COMMAND_LINE, 0, f"{name[7:]}={value}") for name, value in pairs), Dialect.BUSYBOX)
    if setter:
        read = files_in_order(files, SYSCTL, setter.reading)
        read += [files[path] for path in setter.extra_files if path in files]
        runs = [lines_of([file]) for file in read] if setter.one_run_per_file else [lines_of(read)]
        yield from (SetterRun(tuple(lines), setter.dialect) for lines in runs)
    if ufw and UFW_SYSCTL in files:
        yield SetterRun(tuple(lines_of([files[UFW_SYSCTL]])), Dialect.PROCPS)


def _pasted_notes(lines: list[Line]) -> Iterator[str]:
    """Yield one sentence for each file with pasted commands: `/etc/modules-load.d/k8s.conf:1,5: …`."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(line.path, []).append(line)
    for same in found.values():
        where = f"{same[0].path}:{','.join(str(line.number) for line in same)}"
        yield f"{where}: `{same[0].text.strip()}` is not a module name and loads nothing at boot; write the bare name"


def _without_lines(file: FileFact, removed: Collection[tuple[str, int]]) -> FileFact:
    return file._replace(lines=tuple(line for line in file.lines if (file.path, line[0]) not in removed))
