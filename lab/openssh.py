"""Tell an OpenSSH client which host keys are known, and to read nothing of the user's own ~/.ssh."""

from __future__ import annotations


def client_options(known_hosts: str) -> dict[str, str]:
    """Return ssh's options for a login by key alone with strict checking of host keys.

    known_hosts: the path of the only file of known hosts, in double quotes if it may hold a blank.
    """
    return {
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": known_hosts,
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
    }


def known_hosts_line(host: str, port: int, public: str) -> str:
    """Return one line of known_hosts. public: the host's key, `TYPE BASE64`; a comment after it is left out."""
    kind, key = public.split()[:2]
    return f"[{host}]:{port} {kind} {key}\n"
