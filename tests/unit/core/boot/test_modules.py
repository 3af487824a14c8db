"""The modules that a boot loads, as a table of files. tests/lab compares it with real boots."""

from __future__ import annotations

import pytest

from tasks.core.boot.inits import MODULES_LOAD_UNIT
from tests.support.boots import ALPINE, DEBIAN, LISTED, boot

LOADED: dict[str, dict[str, object]] = {
    "named": {"files": {"/etc/modules-load.d/a.conf": "foo"}},
    "named with the other dash": {"files": {"/etc/modules-load.d/a.conf": "f-oo"}, "name": "f_oo"},
    "builtin": {"files": {}, "builtin": "foo"},
    "on the kernel's command line": {"files": {}, "cmdline": "quiet modules_load=bar,foo"},
    "what a loaded module needs": {
        "files": {"/etc/modules-load.d/a.conf": "bar"},
        "needs": {"bar": frozenset({"foo"})},
    },
    "a blacklisted dependency": {
        "files": {"/etc/modules-load.d/a.conf": "foo\nbar", "/etc/modprobe.d/b.conf": "blacklist foo"},
        "needs": {"bar": frozenset({"foo"})},
    },
    "what a module needs that is installed away itself": {
        "files": {"/etc/modules-load.d/a.conf": "bar", "/etc/modprobe.d/b.conf": "install bar /bin/false"},
        "needs": {"bar": frozenset({"foo"})},
    },
    "an install line that does load it": {
        "files": {
            "/etc/modules-load.d/a.conf": "foo",
            "/etc/modprobe.d/b.conf": "install foo /sbin/modprobe --ignore-install foo",
        }
    },
    "a blacklist in a masked file": {
        "files": {
            "/etc/modules-load.d/a.conf": "foo",
            "/etc/modprobe.d/b.conf": "",
            "/usr/lib/modprobe.d/b.conf": "blacklist foo",
        }
    },
    "a blacklist of a pattern, which kmod does not know": {
        "files": {"/etc/modules-load.d/a.conf": "foo", "/etc/modprobe.d/b.conf": "blacklist f*"}
    },
    "an alias to itself": {"files": {"/etc/modules-load.d/a.conf": "foo", "/etc/modprobe.d/b.conf": "alias f* foo"}},
    "on the kernel's command line, the other way": {"files": {}, "cmdline": 'modules-load="bar,foo"'},
    "only the last refusal on the command line counts": {
        "files": {"/etc/modules-load.d/a.conf": "foo"},
        "cmdline": "module_blacklist=foo module_blacklist=bar",
    },
    "an install line of two that does load it": {
        "files": {
            "/etc/modules-load.d/a.conf": "foo",
            "/etc/modprobe.d/b.conf": "install foo \\\n /sbin/modprobe -i foo; /bin/true",
        }
    },
    "with parameters, where scripts load it": {
        "files": {"/etc/modules-load.d/a.conf": "foo size=5"},
        "runs": "openrc",
        "links": DEBIAN,
    },
    "in /etc/modules, where scripts read it": {"files": {"/etc/modules": "foo"}, "runs": "openrc", "links": DEBIAN},
    "blacklisted, where scripts ask for it by name": {
        "files": {"/etc/modules": "foo", "/etc/modprobe.d/b.conf": "blacklist foo"},
        "runs": "openrc",
        "links": DEBIAN,
    },
    "a blacklist in /run": {"files": {"/etc/modules-load.d/a.conf": "foo", "/run/modprobe.d/b.conf": "blacklist foo"}},
}


@pytest.mark.parametrize("case", LOADED.values(), ids=LOADED)
def test_a_module_will_be_there(case: dict[str, object]) -> None:
    more = dict(case)
    name = str(more.pop("name", "foo"))
    assert boot(**more).module_obstacle(name) is None  # type: ignore[arg-type]


NOBODY = "no file of modules-load.d names it"


ABSENT: dict[str, tuple[dict[str, object], str]] = {
    "the first install line counts": (
        {
            "files": {
                **LISTED,
                "/etc/modprobe.d/a.conf": "install foo /bin/false",
                "/etc/modprobe.d/z.conf": "install foo /sbin/modprobe --ignore-install foo",
            }
        },
        "/etc/modprobe.d/a.conf:1: modprobe runs /bin/false instead of loading foo",
    ),
    "a pattern, and a program without its folder": (
        {"files": {**LISTED, "/etc/modprobe.d/a.conf": "install f* true"}},
        "/etc/modprobe.d/a.conf:1: modprobe runs true instead of loading foo",
    ),
    "what it needs is installed away": (
        {
            "files": {**LISTED, "/etc/modprobe.d/a.conf": "install bar /bin/true"},
            "needs": {"foo": frozenset({"bar"})},
        },
        "/etc/modprobe.d/a.conf:1: modprobe runs /bin/true instead of loading bar, which foo needs",
    ),
    "blacklisted on the kernel's command line": (
        {"files": LISTED, "cmdline": "modprobe.blacklist=bar,foo"},
        "/proc/cmdline: foo is blacklisted",
    ),
    "with parameters, which systemd takes for a part of the name": (
        {"files": {"/etc/modules-load.d/a.conf": "foo size=5"}},
        "/etc/modules-load.d/a.conf:1: `foo size=5` is not a module name and loads nothing",
    ),
    "/etc/modules, which systemd does not read": ({"files": {"/etc/modules": "foo"}}, NOBODY),
    "an install line over two lines": (
        {"files": {**LISTED, "/etc/modprobe.d/a.conf": "install foo \\\n  /bin/true"}},
        "/etc/modprobe.d/a.conf:1: modprobe runs /bin/true instead of loading foo",
    ),
    "an install line that runs something else": (
        {"files": {**LISTED, "/etc/modprobe.d/a.conf": "install foo logger no foo here"}},
        "/etc/modprobe.d/a.conf:1: modprobe runs logger no foo here instead of loading foo",
    ),
    "an alias that leads nowhere": (
        {"files": {**LISTED, "/etc/modprobe.d/a.conf": "alias foo off"}},
        "/etc/modprobe.d/a.conf:1: modprobe loads off in place of foo",
    ),
    "the loader is masked by its short name": (
        {"files": LISTED, "cmdline": "systemd.mask=systemd-modules-load"},
        f"/proc/cmdline: {MODULES_LOAD_UNIT} is masked",
    ),
    "pasted, where scripts load": (
        {"files": {"/etc/modules": "modprobe foo"}, "runs": "openrc", "links": DEBIAN},
        "/etc/modules:1: `modprobe foo` is not a module name and loads nothing",
    ),
    "installed away, where scripts load": (
        {
            "files": {"/etc/modules": "foo", "/etc/modprobe.d/b.conf": "install foo /bin/true"},
            "runs": "openrc",
            "links": DEBIAN,
        },
        "/etc/modprobe.d/b.conf:1: modprobe runs /bin/true instead of loading foo",
    ),
    "only in the initrd": ({"files": {}, "cmdline": "rd.modules_load=foo"}, NOBODY),
    "the loader is masked on the kernel's command line": (
        {"files": LISTED, "cmdline": f"systemd.mask={MODULES_LOAD_UNIT}"},
        f"/proc/cmdline: {MODULES_LOAD_UNIT} is masked",
    ),
    "nobody names it": ({"files": {}}, NOBODY),
    "its file is masked": (
        {"files": {"/usr/lib/modules-load.d/a.conf": "foo", "/etc/modules-load.d/a.conf": ""}},
        "no file of modules-load.d names it",
    ),
    "a pasted command": (
        {"files": {"/etc/modules-load.d/k.conf": "# x\nmodprobe foo"}},
        "/etc/modules-load.d/k.conf:2: `modprobe foo` is not a module name and loads nothing",
    ),
    "blacklisted": (
        {"files": {"/etc/modules-load.d/a.conf": "foo", "/etc/modprobe.d/b.conf": "blacklist foo"}},
        "/etc/modprobe.d/b.conf:1: foo is blacklisted",
    ),
    "installed away": (
        {"files": {"/etc/modules-load.d/a.conf": "foo", "/etc/modprobe.d/b.conf": "install foo /bin/true"}},
        "/etc/modprobe.d/b.conf:1: modprobe runs /bin/true instead of loading foo",
    ),
    "the kernel refuses it": (
        {"files": {"/etc/modules-load.d/a.conf": "foo"}, "cmdline": "module_blacklist=foo,bar"},
        "/proc/cmdline: the kernel refuses foo",
    ),
    "the loader is masked": (
        {"files": {"/etc/modules-load.d/a.conf": "foo"}, "masked": MODULES_LOAD_UNIT},
        f"/etc/systemd/system/{MODULES_LOAD_UNIT}: {MODULES_LOAD_UNIT} is masked",
    ),
}


@pytest.mark.parametrize(("case", "why"), ABSENT.values(), ids=ABSENT)
def test_a_module_will_not_be_there(case: dict[str, object], why: str) -> None:
    assert str(boot(**case).module_obstacle("foo")) == why  # type: ignore[arg-type]


def test_busyboxs_modprobe_knows_no_install_lines() -> None:
    files = {"/etc/modules": "foo", "/etc/modprobe.d/a.conf": "install foo /bin/true", "/etc/os-release": "ID=alpine"}
    busybox = {"/sbin/modprobe": "/bin/busybox"}
    assert boot(files, runs="openrc", links=ALPINE | busybox).module_obstacle("foo") is None
    assert boot(files, runs="openrc", links=ALPINE).module_obstacle("foo") is not None
