"""Ask for the passwords of fab's own flags: its own questions name a setting, and without a terminal they end with a
traceback. They are asked after the fabfile was imported, and before any task."""

from __future__ import annotations

import contextlib
import getpass
import os
import sys
from types import SimpleNamespace

import invoke
from fabric import main as fabric_main
from invoke import program as invoke_program

# fab's question to the flag that asks it, what it is for, and the other way to give it.
_ON_STDIN = "as the first line of stdin"
_QUESTIONS = {
    "Desired 'sudo.password' config value: ": (
        "--prompt-for-sudo-password",
        "password for sudo on the nodes",
        f"in FABRIC_SUDO_PASSWORD, or {_ON_STDIN}",
    ),
    "Enter login password for use with SSH auth: ": (
        "--prompt-for-login-password",
        "password for the login on the nodes",
        _ON_STDIN,
    ),
    "Enter passphrase for use unlocking SSH keys: ": (
        "--prompt-for-passphrase",
        "passphrase of the SSH keys",
        f"to an ssh-agent, or {_ON_STDIN}",
    ),
}


def replace_prompts() -> None:
    """Replace the questions of fab's own flags by ours. Nothing else that uses getpass is affected."""
    invoke_program.getpass = fabric_main.getpass = SimpleNamespace(getpass=ask)


def ask(question: str) -> str:
    """Ask on the terminal, or read a line of stdin without one. Ends the command where there is nothing to read."""
    flag, secret, other_way = _QUESTIONS.get(question, ("", question.rstrip(": "), _ON_STDIN))
    try:
        answer = getpass.getpass(f"{secret}: ") if _has_terminal() else _first_line()
        answer.encode()
        return answer
    except EOFError:
        problem = f"{flag or 'prompt'}: got no {secret}: answer on a terminal, or give it {other_way}"
        raise invoke.Exit(problem, code=2) from None
    except UnicodeError:
        raise invoke.Exit(f"{flag or 'prompt'}: expected text, got bytes that are not UTF-8", code=2) from None
    except KeyboardInterrupt:
        raise invoke.Exit(code=130) from None


def _has_terminal() -> bool:
    """Return whether getpass can turn off an echo: on the process's own terminal, or on stdin."""
    with contextlib.suppress(OSError):
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
        return True
    return bool(sys.stdin and sys.stdin.isatty())


def _first_line() -> str:
    """Read a line of stdin. Raises EOFError if there is none."""
    if not sys.stdin or not (line := sys.stdin.readline()):
        raise EOFError
    return line.removesuffix("\n")
