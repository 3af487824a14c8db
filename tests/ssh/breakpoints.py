"""Nodes that stop at the Nth command of a run, so that a fault can strike exactly there.

A script of the same name precedes each program that nodeprep's own scripts start: in /usr/local/bin, which is first on
a node's PATH and in sudo's secure_path. It counts the calls. At the chosen step it waits for one of the words below.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from functools import partial

from lab.fleet.fleet import Fleet

NAMES = """
cat chmod chown cksum cmp cp cut date df find grep head id install kill ln ls mkdir mktemp modprobe mv readlink
restorecon rm rmdir rmmod sed sha256sum sleep sort stat sync sysctl tail tee touch tr uname wc
"""
PLACE = "/run/stops"
# Words for a stopped program.
GO = "go"  # it runs as usual
STAY = "stay"  # it never ends by itself
NO_SHELL = "no shell"  # every sh above it is killed, and it does not run
NO_SSHD = "no sshd"  # every sshd above it is killed, and it runs


def before(then: str) -> str:
    """Return the script that runs before a program. then: shell text to run at the chosen step."""
    return f"""#!/bin/sh
name=${{0##*/}} proc=/proc
PATH=/usr/sbin:/usr/bin:/sbin:/bin
[ ! -d /.proc ] || proc=/.proc

# look PID: its parent is in $above, its name in $called.
look() {{
  while IFS=: read -r field value; do
    case $field in Name) called=${{value#?}} ;; PPid) above=${{value#?}} && return ;; esac
  done <"$proc/$1/status"
}}

# end PATTERN: SIGKILL to the processes above us that are called so, the uppermost first: none sees its child's end.
end() {{
  above=$PPID victims=
  while [ "$above" -gt 1 ]; do
    each=$above
    look "$each"
    case $called in $1) victims="$each $victims" ;; esac
  done
  kill -9 $victims
}}

if read -r at 2>/dev/null <{PLACE}/at; then
  read -r step <{PLACE}/step
  step=$((step + 1))
  echo "$step" >{PLACE}/step
  echo "$name $*" >>{PLACE}/log
  if [ "$step" = "$at" ]; then
{then}
  fi
fi
exec "$name" "$@"
"""


_LISTEN = f"""
    read -r word <{PLACE}/word
    case $word in
      '{STAY}') read -r word <{PLACE}/release ;;
      '{NO_SHELL}') end sh; exit 0 ;;
      '{NO_SSHD}') end 'sshd*' ;;
    esac
"""


@dataclass(frozen=True)
class Stops:
    """The breakpoints of a fleet's nodes."""

    fleet: Fleet

    def install(self, host: str) -> None:
        """Install the scripts on a node. They do nothing yet."""
        for program in filter(partial(self._has, host), NAMES.split()):
            self.fleet.write(host, f"/usr/local/bin/{program}", before(_LISTEN))
            self.fleet.path(host, f"/usr/local/bin/{program}").chmod(0o755)
        place = self.fleet.path(host, PLACE)
        place.mkdir()
        place.chmod(0o777)
        for fifo in ("word", "release"):
            os.mkfifo(place / fifo)
            (place / fifo).chmod(0o666)

    def _has(self, host: str, program: str) -> bool:
        return any(self.fleet.path(host, f"/usr/{folder}/{program}").exists() for folder in ("sbin", "bin"))

    def arm(self, host: str, step: int) -> None:
        """Start counting steps, and stop the node at this one; 0 stops at none."""
        for name, text in (("step", "0\n"), ("log", ""), ("at", f"{step}\n")):
            self.fleet.write(host, f"{PLACE}/{name}", text)
            self.fleet.path(host, f"{PLACE}/{name}").chmod(0o666)

    def disarm(self, host: str) -> None:
        """Stop counting."""
        self.fleet.path(host, f"{PLACE}/at").unlink(missing_ok=True)

    def stopped(self, host: str, fifo: str = "word") -> int | None:
        """Return a descriptor to tell() the program that waits on a node, or None if none waits."""
        with contextlib.suppress(OSError):  # ENXIO: nobody has opened it for reading
            return os.open(self.fleet.path(host, f"{PLACE}/{fifo}"), os.O_WRONLY | os.O_NONBLOCK)
        return None

    def release(self, host: str) -> None:
        """Let a program go on that was told to STAY."""
        if (gate := self.stopped(host, "release")) is not None:
            tell(gate, GO)

    def steps(self, host: str) -> list[str]:
        """Return the counted commands, with a placeholder for marks."""
        return plain(self.fleet.read(host, f"{PLACE}/log"))


def plain(log: str) -> list[str]:
    """Return counted commands, without what differs from run to run."""
    return re.sub(r"\b[0-9a-f]{32}\b", "MARK", log).splitlines()


def tell(gate: int, word: str) -> None:
    """Send a word to a program that waits."""
    with contextlib.suppress(BrokenPipeError):  # it was killed meanwhile
        os.write(gate, f"{word}\n".encode())
    os.close(gate)
