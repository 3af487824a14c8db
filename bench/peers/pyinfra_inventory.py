"""List all nodes for pyinfra, with the client's key and strict checking of host keys."""

from bench.peers import site

nodes: tuple[list[tuple[str, dict[str, object]]], dict[str, object]] = (
    [
        (
            host,
            {
                "ssh_user": "root",
                "ssh_port": site.PORT,
                "ssh_key": str(site.KEY),
                "ssh_known_hosts_file": str(site.FOLDER / "known_hosts"),
                "ssh_strict_host_key_checking": "yes",
                "ssh_look_for_keys": False,
                "ssh_allow_agent": False,
            },
        )
        for host in site.hosts()
    ],
    {},
)
