"""The modules that a boot loads, and the lines that prevent it: modprobe.d(5), the kernel's command line, kmod."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice, takewhile
from typing import NamedTuple

from tasks.core.boot.files import COMMAND_LINE, MODPROBE, MODULES, Obstacle, files_in_order, join_continued, lines_of
from tasks.core.boot.globs import Glob, check_pattern_count, is_glob
from tasks.core.boot.inits import Init, ModuleLoader
from tasks.core.facts import NOWHERE, FileFact, Line
from tasks.core.kernel import MODULE, normalize_module, same_module

# An install line that loads the module after all.
_INSMOD, _MODPROBE = re.compile(r"\binsmod\b"), re.compile(r"\bmodprobe\b")
_IGNORE_INSTALL = re.compile(r"\s(-i|--ignore-install)\b")


MAX_MENTIONS = 100  # lines that name one module, or a module that needs it: the others are not judged


class ModprobeLine(NamedTuple):
    """A line of modprobe.d: the module or pattern that it names, normalized, and the words after it."""

    number: int
    line: Line
    name: str
    rest: list[str]


class ModprobeLines:
    """The lines of modprobe.d that begin with one word, in order, found by the module that they are about.

    Raises RemoteError for more than MAX_PATTERNS lines with a wildcard: each is compared with each module.
    """

    def __init__(self, lines: Iterable[ModprobeLine] = ()) -> None:
        self._by_name: dict[str, list[ModprobeLine]] = {}
        self._globs: list[tuple[Glob, ModprobeLine]] = []
        for each in lines:
            if is_glob(each.name):
                self._globs.append((Glob(each.name), each))
            else:
                self._by_name.setdefault(each.name, []).append(each)
        check_pattern_count(len(self._globs), f"/{MODPROBE}/")

    def named(self, name: str) -> list[ModprobeLine]:
        """Return the lines with exactly this name."""
        return self._by_name.get(name, [])

    def matching(self, name: str) -> list[ModprobeLine]:
        """Return the lines with this name or a pattern that matches it, in order."""
        return sorted([*self.named(name), *(line for glob, line in self._globs if glob.matches(name))])


class BootModules:
    """The modules of one node's next boot.

    arguments: of the kernel, as (name, value). files: the configuration by path, as it is or as it will be. needs: by
    module, the modules that it depends on. busybox: modprobe is busybox's.
    """

    def __init__(
        self,
        init: Init,
        arguments: Collection[tuple[str, str]],
        files: Mapping[str, FileFact],
        needs: Mapping[str, frozenset[str]],
        *,
        busybox: bool,
    ) -> None:
        self._init, self._needs = init, needs
        self._values: dict[str, list[str]] = {}  # of kernel arguments, of which the names may have `-` or `_`
        for name, value in arguments:
            self._values.setdefault(normalize_module(name), []).append(value)
        found: dict[str, list[ModprobeLine]] = {"install": [], "blacklist": [], "alias": []}
        for number, line in enumerate(join_continued(lines_of(files_in_order(files, MODPROBE)))):
            words = line.words
            if len(words) > 1 and words[0] in found:
                found[words[0]].append(ModprobeLine(number, line, normalize_module(words[1]), words[2:]))
        self._installs = ModprobeLines([] if busybox else found["install"])  # busybox does not read install lines
        self._blacklists, self._aliases = ModprobeLines(found["blacklist"]), ModprobeLines(found["alias"])
        self._lines = self._load_lines(files)
        self._requested = self._read_requests()
        self._mentioned: dict[str, list[tuple[Line, Obstacle | None]]] = {}
        self._blocked: dict[str, Obstacle | None] = {}

    def _load_lines(self, files: Mapping[str, FileFact]) -> list[Line]:
        """Return the lines of the files that name modules to load."""
        loader = self._init.loader or ModuleLoader("")
        single = [files[path] for path in loader.extra_files if path in files]
        return lines_of([*files_in_order(files, MODULES, loader.reading), *single])

    def blocked(self, name: str) -> Obstacle | None:
        """Return the reason that no program can load a module, None if one can."""
        if name not in self._blocked:
            self._blocked[name] = self._blocked_itself(name) or self._blocked_need(name)
        return self._blocked[name]

    def loaded_by(self, name: str) -> Line | None:
        """Return the first line that loads a module, None if no line does or an obstacle prevents it."""
        return next((line for line, why in self._mentions(name) if why is None), None)

    def not_requested(self, name: str) -> Obstacle:
        """Return the reason that the loader does not load a module that loaded_by has no line for."""
        return next((why for _, why in self._mentions(name) if why), None) or self._not_named(name)

    def _mentions(self, name: str) -> list[tuple[Line, Obstacle | None]]:
        """Return the lines that mention a module. They are searched once, though each key of the module needs them."""
        if name not in self._mentioned:
            self._mentioned[name] = list(islice(self._find_mentions(name), MAX_MENTIONS))
        return self._mentioned[name]

    def _find_mentions(self, name: str) -> Iterator[tuple[Line, Obstacle | None]]:
        """Yield each line that names a module or one that needs it, with the obstacle that keeps the loader from it."""
        for line in self._requested:
            if same_module(line.text, name):
                yield line, self._skipped(line.text) or self.blocked(line.text)
            elif normalize_module(name) in self._needs.get(normalize_module(line.text), ()):
                yield line, self._skipped(line.text) or self._blocked_need(line.text)

    def _read_requests(self) -> list[Line]:
        """Return the modules that the loader is to load, each as a line with the name alone."""
        names_given = [name for names in self._values.get("modules_load", ()) for name in names.split(",")]
        heeded = self._init.loader and self._init.loader.arguments
        cmdline = [Line(COMMAND_LINE, 0, name) for name in names_given if heeded]
        return [*cmdline, *(Line(line.path, line.number, self._name(line)) for line in self._lines)]

    def _name(self, line: Line) -> str:
        first_word = self._init.loader and self._init.loader.parameters
        return line.text.split()[0] if first_word else line.text.strip()

    def pasted_commands(self) -> list[Line]:
        """Return the lines that are not module names, such as a pasted `modprobe ip_vs`: they load nothing."""
        return [line for line in self._lines if not MODULE.match(self._name(line)) or self._name(line) == "modprobe"]

    def _not_named(self, name: str) -> Obstacle:
        """Return the obstacle of a module that no line names. A pasted command with its name is quoted."""
        for line in self.pasted_commands():
            if normalize_module(name) in map(normalize_module, line.text.split()):
                return Obstacle(f"`{line.text.strip()}` is not a module name and loads nothing", line)
        return Obstacle("no file of modules-load.d names it", NOWHERE)

    def _skipped(self, name: str) -> Obstacle | None:
        """Return the reason that the loader skips a module that a line names, and with it the modules that it needs.

        An install line is not such a reason: kmod loads the needed modules before it runs the line. A blacklist does
        not count for a module that another one needs.
        """
        heeded = self._init.loader is None or self._init.loader.blacklist
        if heeded and (lines := self._blacklisting(name)):
            return Obstacle(f"{name} is blacklisted", lines[0], following=tuple(lines[1:]))
        return self._renamed(name)

    def _blacklisting(self, name: str) -> list[Line]:
        """Return the lines that blacklist a module. kmod compares whole names; the command line counts as well."""
        for names in self._values.get("modprobe.blacklist", ()):
            if normalize_module(name) in map(normalize_module, names.split(",")):
                return [Line(COMMAND_LINE, 0, f"modprobe.blacklist={names}")]
        return [entry.line for entry in self._blacklists.named(normalize_module(name))]

    def _renamed(self, name: str) -> Obstacle | None:
        """Return the obstacle of an alias for a module's own name, as `alias overlay off`: kmod tries aliases first."""
        name = normalize_module(name)
        found = [entry for entry in self._aliases.matching(name) if entry.rest]
        targets = [normalize_module(entry.rest[0]) for entry in found]
        if not targets or name in targets:
            return None
        return Obstacle(
            f"modprobe loads {targets[0]} in place of {name}",
            found[0].line,
            following=tuple(entry.line for entry in found[1:]),
        )

    def _blocked_need(self, name: str) -> Obstacle | None:
        needs = sorted(self._needs.get(normalize_module(name), ()))
        obstacle = next((found for need in needs if (found := self._blocked_itself(need))), None)
        return obstacle._replace(why=f"{obstacle.why}, which {name} needs") if obstacle else None

    def _blocked_itself(self, name: str) -> Obstacle | None:
        """Return the obstacle of a module that cannot be loaded: its first install line, or the kernel's blacklist."""
        installs = self._installs.matching(normalize_module(name))
        lines = [entry.line for entry in takewhile(_replaces_module, installs)]
        if lines:
            command = " ".join(installs[0].rest)
            why = f"modprobe runs {command or 'nothing'} instead of loading {name}"
            return Obstacle(why, lines[0], following=tuple(lines[1:]))
        refused = self._values.get("module_blacklist", [])[-1:]
        if any(normalize_module(name) in names.split(",") for names in refused):
            return Obstacle(f"the kernel refuses {name}", Line(COMMAND_LINE, 0, f"module_blacklist={refused[0]}"))
        return None


def _replaces_module(install: ModprobeLine) -> bool:
    """Return whether an install line does not load the module after all: by insmod, or modprobe past install lines.

    Two searches, for one pattern with `.*` between its halves takes quadratic time.
    """
    command = " ".join(install.rest)
    modprobe = _MODPROBE.search(command)
    return not (_INSMOD.search(command) or (modprobe and _IGNORE_INSTALL.search(command, modprobe.end())))
