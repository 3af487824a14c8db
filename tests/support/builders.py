"""Builders for the unit ring: profiles from template text, facts from a dict, and a node made of dicts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tasks.core.facts import SYSCTL_ROOT, Facts
from tasks.core.host import Host
from tasks.core.kernel import key_path
from tasks.core.ownfiles import assignments
from tasks.core.profile.profile import Profile, RenderedProfile, render
from tasks.core.profile.template import Source
from tasks.core.protocol.reply import parse_reply
from tasks.core.result import Item

KERNEL = "6.1.0-13-amd64"
MODULES = "/etc/modules-load.d/nodeprep-{}.conf"
SYSCTL = "/etc/sysctl.d/99-zz-nodeprep-{}.conf"


def profile(
    sysctl: str | None = None, modules: str | None = None, *, name: str = "p", template: bool = True
) -> Profile:
    """Return a profile from the texts of its files."""
    ending = ".j2" if template else ""
    return Profile(
        name,
        None if modules is None else Source(f"templates/{name}/modules-load.conf{ending}", modules, template),
        None if sysctl is None else Source(f"templates/{name}/sysctl.conf{ending}", sysctl, template),
    )


def rendered(
    sysctl: str | None = None, modules: str | None = None, *, name: str = "p", **variables: Any
) -> RenderedProfile:
    """Return a rendered profile from the texts of its files."""
    return render(profile(sysctl, modules, name=name), variables)


def host(name: str = "n1", **variables: object) -> Host:
    """Return a host with only a name and variables."""
    return Host(name, "192.0.2.1", variables=variables)


@dataclass(frozen=True)
class OnNode:
    """A file of a node, and how `ls -ldn` and `grep` show it."""

    text: str = ""
    mode: str = "-rw-r--r--"
    uid: int = 0
    link: str = ""

    def listed(self, path: str) -> str:
        """Return its line of the `ls` listing."""
        arrow = f" -> {self.link}" if self.link else ""
        return f"{self.mode} 1 {self.uid} 0 {len(self.text)} Nov 23 15:18 {path}{arrow}"

    def matching(self, path: str) -> list[str]:
        """Return its lines as the probe's grep prints them."""
        wanted = re.compile(r"[ \t]*[^#; \t]|# sha256 of the lines below: ")
        return [f"{path}:{n}:{line}" for n, line in enumerate(self.text.split("\n"), 1) if wanted.match(line)]


def _numbered(text: str) -> list[tuple[int, str]]:
    return [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def reply(
    values: Mapping[str, str] | None = None,
    *,
    loaded: Iterable[str] = (),
    loadable: Iterable[str] = (),
    builtin: Iterable[str] = (),
    in_sys: Iterable[str] = (),
    hidden: Iterable[str] = (),
    absent: Iterable[str] = (),
    files: Mapping[str, OnNode | str] | None = None,
    complaints: Iterable[str] = (),
    holds: Iterable[str] = (),
    history: Iterable[str] = (),
    uid: int = 0,
    kernel: str | None = KERNEL,
    tree: bool = True,
    more: Mapping[str, Iterable[str]] | None = None,
    other_trees: Iterable[str] = (),
) -> str:
    """Return a probe's reply. values: by key, or by path if it starts with a slash. more: sections by name."""
    shown = {(name if name[0] == "/" else SYSCTL_ROOT + key_path(name)): text for name, text in (values or {}).items()}
    if kernel is not None:
        shown[SYSCTL_ROOT + "kernel/osrelease"] = kernel
    found = {path: OnNode(file) if isinstance(file, str) else file for path, file in (files or {}).items()}
    folder = f"/lib/modules/{kernel}"
    return "\n".join(
        [
            *(f"e{complaint}" for complaint in complaints),
            *(f"h{what}" for what in holds),
            *history,
            *(f"r{path}" for path in shown),
            *(f"a{path}" for path in absent),
            *(f"x{path}" for path in hidden),
            *([f"t{folder}"] if tree else []),
            *(f"k/lib/modules/{other}" for other in other_trees),
            *(f"y{name}" for name in in_sys),
            "== found",
            f"/proc/self/status:Uid:\t{uid}\t{uid}\t{uid}\t{uid}",
            *(f"/proc/modules:{name} " for name in loaded),
            *(f"{folder}/modules.builtin:kernel/x/{name}.ko" for name in builtin),
            *(f"{folder}/modules.dep:kernel/x/{name}.ko.xz:" for name in loadable),
            *(file.listed(path) for path, file in found.items()),
            *(line for path, file in found.items() for line in file.matching(path)),
            *(f"{path}:{n}:{line}" for path, text in shown.items() for n, line in _numbered(text)),
            *(line for name, lines in (more or {}).items() for line in (f"== {name}", *lines)),
            "",
        ]
    )


# A hostile node's reply: line ends and NULs, the protocol's own marks, a huge number, a terminal escape.
JUNK = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["\n", "\r\n", "\0", ":", "== ", "== found\n", "y\n", " -> ", "9" * 5000, "\x1b[2J"]),
)


@st.composite
def mutated(draw: st.DrawFn, text: str) -> str:
    """Draw a text with up to five pieces cut out, doubled or replaced by junk, and perhaps truncated."""
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 200)))
        text = text[:start] + draw(st.one_of(st.just(""), st.just(text[start:end] * 2), JUNK)) + text[end:]
    return text[: draw(st.one_of(st.just(len(text)), st.integers(0, len(text))))]


def facts(values: Mapping[str, str] | None = None, **more: Any) -> Facts:
    """Return facts from the same arguments as reply()."""
    return parse_reply(reply(values, **more))


def as_row(item: Item) -> tuple[str, str, str, str | None]:
    """Return an item as a row of a table: kind, name, status, got."""
    return str(item.kind), item.name, str(item.status), item.got


@dataclass
class Node:
    """A node that executes instructions as the real script does: keys, files and modules are dicts.

    brings: the keys that come with a module. turned: by key, the value that the kernel keeps for a written one; None if
    it refuses the write. noisy: sysctl -p fails on a refused write. read_only: no file can be written.
    """

    keys: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    loaded: set[str] = field(default_factory=set)
    loadable: set[str] = field(default_factory=set)
    brings: dict[str, dict[str, str]] = field(default_factory=dict)
    needs: dict[str, str] = field(default_factory=dict)
    turned: dict[str, Callable[[str], str | None]] = field(default_factory=dict)
    noisy: bool = True
    read_only: bool = False
    uid: int = 0
    values: dict[str, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    _complaints: list[str] = field(default_factory=list)

    def obey(self, lines: Iterable[str]) -> str:
        """Execute one request's instructions, and return the reply to its scan."""
        text: list[str] = []
        quiet = ""
        for line in lines:
            verb, _, rest = line.partition(" ")
            if line.startswith("|"):
                text.append(line[1:])
                continue
            if verb in ("keep", "load", "sysctl", "set"):
                self.log.append(line)
            match verb:
                case "file":
                    text = []
                case "keep":
                    quiet = quiet if self._keep(rest, text) else "no"
                case "load":
                    self._load(rest)
                case "sysctl" if quiet != "no":
                    quiet = "yes" if self._sysctl(rest) else "no"
                case "set" if quiet != "yes":
                    path, _, value = rest.partition(" ")
                    self._set(path, value)
        complaints, self._complaints = self._complaints, []
        return self.shown(complaints)

    def shown(self, complaints: Iterable[str] = ()) -> str:
        """Return the reply to a probe of its present state."""
        return reply(
            {**self.keys, **self.values},
            loaded=sorted(self.loaded),
            loadable=sorted(self.loadable - self.loaded),
            files=dict(self.files),
            complaints=complaints,
            uid=self.uid,
        )

    @property
    def facts(self) -> Facts:
        """The facts of its present state."""
        return parse_reply(self.shown())

    def _keep(self, path: str, text: list[str]) -> bool:
        if self.read_only:
            self._complaints.append(f"keep {path} 1 mkdir: Read-only file system")
            return False
        self.files[path] = "".join(f"{line}\n" for line in text)
        return True

    def _load(self, name: str) -> None:
        if name not in self.loadable:
            self._complaints.append(f"load {name} 1 modprobe: FATAL: Module {name} not found")
            return
        for each in filter(None, (self.needs.get(name), name)):
            self.loaded.add(each)
            for key, value in self.brings.get(each, {}).items():
                self.keys.setdefault(key, value)

    def _sysctl(self, path: str) -> bool:
        wanted = assignments(self.files.get(path, "").split("\n"))
        outcomes = [self._write(key, value) for key, value in wanted.items()]
        if self.noisy and not all(outcomes):
            self._complaints.append(f"sysctl {path} 255 sysctl: setting key: Invalid argument")
            return False
        return True

    def _set(self, path: str, value: str) -> None:
        key = next((key for key in self.keys if SYSCTL_ROOT + key_path(key) == path), "")
        if not key or not self._write(key, value):
            self._complaints.append(f"set {path} 2 sh: echo: I/O error")

    def _write(self, key: str, value: str) -> bool:
        if key not in self.keys:
            return False
        turn = self.turned.get(key)
        taken = turn(value) if turn else value
        if taken is not None:
            self.keys[key] = taken
        return taken is not None
