"""What the peers run: playbooks, deploys and programs, each in an environment of its own."""
