"""A verb: one command of nodeprep, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verb:
    """One command. name: what a report calls it.

    writes: it may change nodes. is_gate: a difference ends the run with exit code 3. counts_checks: the summary has a
    column of kubeadm's checks. uses_profiles: it reads the profiles of the nodes. one_node: several nodes need --yes.
    old_words: pairs of an old word or flag of its command line and the new one; the old ones work for one release.
    """

    name: str
    writes: bool = False
    is_gate: bool = False
    counts_checks: bool = False
    uses_profiles: bool = True
    one_node: bool = False
    old_words: tuple[tuple[str, str], ...] = ()

    @property
    def is_preview(self) -> bool:
        """Return whether differences are its answer: it lists all of them, and none is an error."""
        return not self.writes and not self.is_gate

    def __str__(self) -> str:
        return self.name


PLAN = Verb("plan")  # also what --dry makes of apply and verify
