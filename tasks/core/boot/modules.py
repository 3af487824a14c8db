"""Which modules a boot loads, and what keeps one from being loaded: modprobe.d(5), the kernel's command line, kmod."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase

from tasks.core.boot.files import COMMAND_LINE, MODPROBE, MODULES, Obstacle, files_in_order, join_continued, lines_of
from tasks.core.boot.inits import SYSTEMD, Init, ModuleLoader
from tasks.core.facts import NOWHERE, FileFact, Line
from tasks.core.kernel import MODULE, normalize_module, same_module

# An install line that does load the module, in the end.
LOADING_COMMAND = re.compile(r"\binsmod\b|\bmodprobe\b.*\s(-i|--ignore-install)\b")


class BootModules:
    """The modules of one node's next boot.

    given: the kernel's arguments. files: the configuration by path, as it is or as it is going to be. needs: by module,
    what it depends on. busybox: whether modprobe is busybox's.
    """

    def __init__(
        self,
        init: Init,
        given: Collection[tuple[str, str]],
        files: Mapping[str, FileFact],
        needs: Mapping[str, frozenset[str]],
        *,
        busybox: bool,
    ) -> None:
        self._init, self._needs = init, needs
        self._values: dict[str, list[str]] = {}  # of kernel arguments; in their names, too, `-` and `_` are the same
        for name, value in given:
            self._values.setdefault(normalize_module(name), []).append(value)
        self._said: dict[str, list[tuple[Line, str]]] = {}
        for line in join_continued(lines_of(files_in_order(files, MODPROBE))):
            words = line.words
            if len(words) > 1:
                self._said.setdefault(words[0], []).append((line, normalize_module(words[1])))
        if busybox:
            self._said.pop("install", None)  # it knows no install lines
        self._lines = self._listed(files)
        self._told = self._requested()
        self._mentioned: dict[str, list[tuple[Line, Obstacle | None]]] = {}
        self._refused: dict[str, Obstacle | None] = {}

    def _listed(self, files: Mapping[str, FileFact]) -> list[Line]:
        """The lines of modules-load.d and its like."""
        loader = self._init.loader or ModuleLoader("")
        single = [files[path] for path in loader.extra_files if path in files]
        return lines_of([*files_in_order(files, MODULES, loader.reading), *single])

    def blocked(self, name: str) -> Obstacle | None:
        """Why nothing at all will load a module; None if something may."""
        if name not in self._refused:
            self._refused[name] = self._forbidden(name) or self._forbidden_need(name)
        return self._refused[name]

    def loaded_by(self, name: str) -> Line | None:
        """The first line that has a module loaded, if one has and nothing holds it back."""
        return next((line for line, why in self._mentions(name) if why is None), None)

    def not_requested(self, name: str) -> Obstacle:
        """Why the loader does not load a module that no line has loaded."""
        return next((why for _, why in self._mentions(name) if why), None) or self._not_named(name)

    def _mentions(self, name: str) -> list[tuple[Line, Obstacle | None]]:
        """Found once a module: each key that comes with it asks for it."""
        if name not in self._mentioned:
            self._mentioned[name] = list(self._find_mentions(name))
        return self._mentioned[name]

    def _find_mentions(self, name: str) -> Iterator[tuple[Line, Obstacle | None]]:
        """Each line that names a module, or one that needs it, and what the loader makes of that."""
        for line in self._told:
            if same_module(line.text, name):
                yield line, self._not_asked(line.text) or self.blocked(line.text)
            elif normalize_module(name) in self._needs.get(normalize_module(line.text), ()):
                yield line, self._not_asked(line.text) or self._forbidden_need(line.text)

    def _requested(self) -> list[Line]:
        """What the loader is told to load, each as a line that holds the name alone."""
        given = [name for names in self._values.get("modules_load", ()) for name in names.split(",")]
        cmdline = [Line(COMMAND_LINE, 0, name) for name in given if self._init is SYSTEMD]
        return [*cmdline, *(Line(line.path, line.number, self._name(line)) for line in self._lines)]

    def _name(self, line: Line) -> str:
        first_word = self._init.loader and self._init.loader.parameters
        return line.text.split()[0] if first_word else line.text.strip()

    def pasted_commands(self) -> list[Line]:
        """Lines that are no module names, such as a pasted `modprobe ip_vs`: they load nothing."""
        return [line for line in self._lines if not MODULE.match(self._name(line)) or self._name(line) == "modprobe"]

    def _not_named(self, name: str) -> Obstacle:
        """No line loads the module; a pasted command that looks as if it did is named."""
        for line in self.pasted_commands():
            if normalize_module(name) in map(normalize_module, line.text.split()):
                return Obstacle(f"`{line.text.strip()}` is no module name and loads nothing", line)
        return Obstacle("no file of modules-load.d names it", NOWHERE)

    def _not_asked(self, name: str) -> Obstacle | None:
        """Why the loader does not even ask for a module that it is told to load, nor for what that one needs.

        An install line is no such reason: kmod loads what a module needs before it runs the line. What another module
        needs is not held against a blacklist.
        """
        heeds = self._init.loader is None or self._init.loader.blacklist
        if heeds and (blacklisted := self._blacklisted(name)):
            return Obstacle(f"{name} is blacklisted", blacklisted)
        return self._renamed(name)

    def _blacklisted(self, name: str) -> Line | None:
        """kmod compares whole names here, not patterns; the kernel's command line counts as well."""
        for names in self._values.get("modprobe.blacklist", ()):
            if normalize_module(name) in map(normalize_module, names.split(",")):
                return Line(COMMAND_LINE, 0, f"modprobe.blacklist={names}")
        said = self._said.get("blacklist", ())
        return next((line for line, about in said if about == normalize_module(name)), None)

    def _renamed(self, name: str) -> Obstacle | None:
        """An alias of a module's own name, such as `alias overlay off`: kmod asks the aliases first."""
        name = normalize_module(name)
        said = self._said.get("alias", ())
        lines = [line for line, about in said if len(line.words) > 2 and fnmatchcase(name, about)]
        targets = [normalize_module(line.words[2]) for line in lines]
        if not targets or name in targets:
            return None
        return Obstacle(f"modprobe takes {name} for {targets[0]}", lines[0])

    def _forbidden_need(self, name: str) -> Obstacle | None:
        needs = sorted(self._needs.get(normalize_module(name), ()))
        obstacle = next((found for need in needs if (found := self._forbidden(need))), None)
        return Obstacle(f"{obstacle.why}, which {name} needs", obstacle.line) if obstacle else None

    def _forbidden(self, name: str) -> Obstacle | None:
        """Why a module will not be loaded by anything: an install line instead of it (the first counts), the kernel."""
        patterns = self._said.get("install", ())
        install = next((line for line, about in patterns if fnmatchcase(normalize_module(name), about)), None)
        command = " ".join(install.words[2:]) if install else ""
        if install and not LOADING_COMMAND.search(command):
            return Obstacle(f"modprobe runs {command or 'nothing'} instead of loading {name}", install)
        refused = self._values.get("module_blacklist", [])[-1:]
        if any(normalize_module(name) in names.split(",") for names in refused):
            return Obstacle(f"the kernel refuses {name}", Line(COMMAND_LINE, 0, f"module_blacklist={refused[0]}"))
        return None
