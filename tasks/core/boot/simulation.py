"""The next boot, told from a node's own files: what will be loaded and set, and which file and line decides.

Sources: modules-load.d(5), sysctl.d(5), modprobe.d(5), kernel-command-line(7), the programs that read them (inits.py),
and what kernels did on the lab's nodes (tests/lab). The command line is the running kernel's: a boot loader's files may
only be root's to read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from tasks.core.boot.files import COMMAND_LINE, SYSCTL, Obstacle, files_in_order, kernel_arguments, lines_of
from tasks.core.boot.inits import (
    LOADER,
    SETTER,
    SYSTEMD,
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
from tasks.core.facts import Facts, FileFact, Line, ModuleState, UnitState
from tasks.core.memo import memoized

UFW_ON, UFW_KEYS = "/etc/ufw/ufw.conf", "/etc/ufw/sysctl.conf"  # set with `sysctl -p` when ufw starts


class NextBoot:
    """The next boot of a node, if its files were as given.

    files: the node's configuration, by path, with our own files as they are going to be.
    """

    def __init__(self, facts: Facts, files: Mapping[str, FileFact]) -> None:
        self._facts, self._files = facts, files
        self._init = init_of(facts)
        self._arguments = kernel_arguments(facts.values.get(COMMAND_LINE) or "")
        ufw, busybox = "ENABLED=yes" in facts.lines(UFW_ON), is_busybox(facts, "modprobe")
        needs = tuple(facts.dependencies.items())
        self._writes, self._modules = _simulated(
            self._known, self._arguments, tuple(files.values()), needs, ufw, busybox
        )
        self._unloaded = self._service_obstacle(self._known.loader, "loads modules")
        self._unset = self._service_obstacle(self._known.setter, "sets keys")

    @property
    def simulated(self) -> bool:
        """Whether this node's boot is understood."""
        return self._init is not None

    def without_lines(self, lines: Collection[Line]) -> NextBoot:
        """The same boot if these lines were comments."""
        gone = {(line.path, line.number) for line in lines}
        return NextBoot(self._facts, {path: _without_lines(file, gone) for path, file in self._files.items()})

    def key(self, key: str) -> Assignment | None:
        """What the next boot sets a key to; None when nothing does, a value of None when a line forbids it."""
        return self._writes.last(key)

    @property
    def _known(self) -> Init:
        return self._init or Init("unknown", None, None)

    def setter_obstacle(self) -> Obstacle | None:
        """Why no key at all is set at the next boot, if so."""
        return self._unset

    def has_module(self, name: str) -> bool:
        """Whether this kernel has the module as one that is loaded, not built in."""
        return self._facts.module(name) in (ModuleState.LOADED, ModuleState.LOADABLE)

    def module_obstacle(self, name: str) -> Obstacle | None:
        """Why a module will not be there after the next boot; None if it will."""
        state = self._facts.module(name)
        if state is ModuleState.BUILTIN or (self._facts.container and state is ModuleState.LOADED):
            return None
        if obstacle := self._modules.blocked(name) or self._unloaded:
            return obstacle
        return None if self._modules.loaded_by(name) else self._modules.not_requested(name)

    def module_line(self, name: str) -> Line | None:
        """The line that has a module loaded at the next boot."""
        return self._modules.loaded_by(name)

    def _service_obstacle(self, service: ModuleLoader | SysctlSetter | None, does: str) -> Obstacle | None:
        if service is None:
            return Obstacle(f"no init script that {does} is started", Line(self._known.name, 0, ""))
        return self._unit_obstacle(service.name) if self._init is SYSTEMD else None

    def _unit_obstacle(self, unit: str) -> Obstacle | None:
        """A unit that is a link to /dev/null, or an empty file, in the first folder that has it is masked."""
        if any(name == "systemd.mask" and value in (unit, unit.rpartition(".")[0]) for name, value in self._arguments):
            return Obstacle(f"{unit} is masked", Line(COMMAND_LINE, 0, f"systemd.mask={unit}"))
        found = unit_state(self._facts, unit)
        if found is None:
            return Obstacle(f"{unit} is not installed", Line(unit, 0, ""))
        path, state = found
        return Obstacle(f"{unit} is masked", Line(path, 0, "")) if state is UnitState.MASKED else None

    def notes(self) -> list[str]:
        """What an admin should hear of this node's boot although nothing may be wrong."""
        if self._init is None:
            return ["its init system is not known here: the next boot was not checked"]
        said = [] if self._init.verified else [f"{self._init.name}: its rules for the next boot were read, not tried"]
        if self._facts.container:
            said.append("a container: its modules, and whether it may set keys when it starts, are its host's matter")
        return [*said, *self._altered_units(), *_pasted(self._modules.pasted_commands())]

    def _altered_units(self) -> Iterator[str]:
        """What is done to systemd's units by hand is not simulated."""
        if self._init is not SYSTEMD:
            return
        for unit in (LOADER, SETTER):
            for path in (f"/etc/systemd/system/{unit}.d", f"/etc/systemd/system/{unit}"):
                if self._facts.units.get(path) in (UnitState.ALTERED, UnitState.PRESENT):
                    yield f"{path} changes what systemd ships: what it does at boot was not checked"


@memoized(maxsize=64)  # nodes of a fleet boot alike, and what was found out of one boot is known of the next
def _simulated(
    init: Init,
    given: tuple[tuple[str, str], ...],
    files: tuple[FileFact, ...],
    needs: tuple[tuple[str, frozenset[str]], ...],
    ufw: bool,
    busybox: bool,
) -> tuple[BootWrites, BootModules]:
    found = {file.path: file for file in files}
    writes = BootWrites(_runs(init.setter, given, found, ufw=ufw))
    return writes, BootModules(init, given, found, dict(needs), busybox=busybox)


def _runs(
    setter: SysctlSetter | None, given: Iterable[tuple[str, str]], files: Mapping[str, FileFact], *, ufw: bool
) -> Iterator[SetterRun]:
    """The kernel itself (`sysctl.KEY=VALUE` on its command line), then who sets keys, then ufw."""
    pairs = [(name, value) for name, value in given if name.startswith(("sysctl.", "sysctl/"))]
    yield SetterRun(tuple(Line(COMMAND_LINE, 0, f"{name[7:]}={value}") for name, value in pairs), Dialect.BUSYBOX)
    if setter:
        read = files_in_order(files, SYSCTL, setter.reading)
        read += [files[path] for path in setter.extra_files if path in files]
        runs = [lines_of([file]) for file in read] if setter.one_run_per_file else [lines_of(read)]
        yield from (SetterRun(tuple(lines), setter.dialect) for lines in runs)
    if ufw and UFW_KEYS in files:
        yield SetterRun(tuple(lines_of([files[UFW_KEYS]])), Dialect.PROCPS)


def _pasted(lines: list[Line]) -> Iterator[str]:
    """One sentence a file: `/etc/modules-load.d/k8s.conf:1-5: …`."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(line.path, []).append(line)
    for same in found.values():
        where = f"{same[0].path}:{','.join(str(line.number) for line in same)}"
        yield f"{where}: `{same[0].text.strip()}` is no module name and loads nothing at boot; bare names do"


def _without_lines(file: FileFact, gone: Collection[tuple[str, int]]) -> FileFact:
    return file._replace(lines=tuple(line for line in file.lines if (file.path, line[0]) not in gone))
