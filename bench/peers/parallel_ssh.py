"""Run the script as one command on every host with parallel-ssh (libssh2 under gevent)."""

import sys

from pssh.clients import ParallelSSHClient

from bench.peers import site

client = ParallelSSHClient(
    site.hosts(), user="root", port=site.PORT, pkey=str(site.KEY), pool_size=site.FORKS, allow_agent=False
)
output = client.run_command(site.script())
good = [site.report(out.host, "\n".join(out.stdout), out.exit_code) for out in output]
sys.exit(not all(good))
