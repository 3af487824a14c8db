"""Hold the peers' playbooks, deploys and programs. Each runs in an environment of its own."""
