"""The identity of a node: facts that must be unique in a cluster, and its clock."""

from __future__ import annotations

import re

from tasks.core.facts import Facts
from tasks.core.kubeadm.hostname import HOSTNAME
from tasks.core.protocol.instructions import look
from tasks.core.result import Identity

MACHINE_ID, PRODUCT_UUID = "/etc/machine-id", "/sys/class/dmi/id/product_uuid"
IDENTITY_PROBES = (look(MACHINE_ID), look(PRODUCT_UUID))


def read_identity(facts: Facts, window: tuple[float, float], ignored: frozenset[str]) -> Identity:
    """Return the node's identity. window: our monotonic seconds before the probe was sent and after it was answered.

    ignored: names of checks in lower case.
    """
    seconds = next(
        (int(line) for line in facts.extra_sections.get("clock", ()) if re.fullmatch("[0-9]{1,12}", line)), None
    )
    before, after = window
    return Identity(
        hostname=(facts.values.get(HOSTNAME) or "").lower(),
        machine_id=facts.values.get(MACHINE_ID) or "",
        product_uuid=(facts.values.get(PRODUCT_UUID) or "").lower(),
        unreadable=PRODUCT_UUID in facts.present,
        clock=None if seconds is None else (seconds - after, seconds + 1 - before),  # date cuts the fraction off
        ignored=ignored,
    )
