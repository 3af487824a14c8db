"""Use Fabric as its documentation does: a ThreadingGroup, one call for each step, one channel for each command."""

import sys
from typing import Any

from fabric import ThreadingGroup

from bench.peers import site

want = site.work()
READ = "cat /proc/modules; sysctl -e " + " ".join(want["sysctl"])


def state(results: Any) -> dict[str, set[str]]:
    """Return host -> the modules and the lines `key = value` of a read-back."""
    return {
        connection.host: {
            " ".join(line.split()) if "=" in line else line.split()[0] for line in result.stdout.splitlines()
        }
        for connection, result in results.items()
    }


hosts = site.hosts()
wanted = {*want["modules"], *(f"{key} = {value}" for key, value in want["sysctl"].items())}
group = ThreadingGroup(*hosts, user="root", port=site.PORT, connect_kwargs={"key_filename": str(site.KEY)})
before = state(group.run(READ, hide=True, warn=True))
group.put(str(site.FOLDER / "modules.conf"), want["modules_file"])
group.put(str(site.FOLDER / "sysctl.conf"), want["sysctl_file"])
for module in want["modules"]:
    group.run(f"modprobe {module}", hide=True)
group.run(f"sysctl -p {want['sysctl_file']}", hide=True)
after = state(group.run(READ, hide=True))
group.close()
for host in hosts:
    print(host, {"changed": len(wanted - before[host]), "failed": len(wanted - after[host])})
sys.exit(any(wanted - after[host] for host in hosts))
