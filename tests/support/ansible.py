"""The real ansible-inventory, the oracle for inventories, with an empty configuration of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ORACLE = Path(sys.executable).parent / "ansible-inventory"


def ansible_environment(home: Path) -> Mapping[str, str]:
    """Return the environment in which Ansible reads no configuration but an empty one in `home`."""
    (home / "ansible.cfg").touch()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": str(home / "ansible.cfg"),
        "ANSIBLE_LOCAL_TEMP": str(home),
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
    }


def run_ansible_inventory(paths: Sequence[Path], home: Path) -> subprocess.CompletedProcess[str]:
    """Run `ansible-inventory --list` on some inventories."""
    command = [str(ORACLE), *(word for path in paths for word in ("-i", str(path))), "--list"]
    environment = ansible_environment(home)
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False, timeout=60)
