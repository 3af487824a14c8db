"""Slots for the hosts that are worked on at a time, which hosts that do not answer give to others.

A dead host costs its whole connect timeout. If it held its slot for that time, a thousand of them among 5,000 would
cost --forks 20 more than eight minutes. So a slot is lent after a short silence, and is needed again when the host
speaks: no more than --forks hosts are ever worked on at a time.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from threading import Condition

MAX_SILENT = 256  # hosts without a slot; each costs a thread and a socket


class Slots:
    """A number of slots. With one slot none is lent: one host at a time means just that."""

    def __init__(self, count: int) -> None:
        self.changed = Condition()
        self.free = count
        self.returning = 0  # hosts that speak again, and wait for a slot
        self.lent = 0  # hosts that hold no slot
        self.silent_until: dict[Slot, float] = {}  # when each slot may be lent, on the monotonic clock
        self._max_silent = MAX_SILENT if count > 1 else 0

    def take(self) -> Slot | None:
        """Return a slot for another host; None if all are held, or wanted by hosts that return."""
        with self.changed:
            if not self.free or self.returning:
                return None
            self.free -= 1
            return Slot(self)

    def lend_silent(self) -> None:
        """Free the slots of hosts that have been silent for longer than their patience."""
        now = time.monotonic()
        with self.changed:
            for slot, end in self.silent_until.items():
                if slot.held and end <= now and self.lent < self._max_silent:
                    slot.held = False
                    self.free += 1
                    self.lent += 1


class Slot:
    """A slot of one thread, which works on one host after the other. held: False while it is lent."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self.held = True

    @contextlib.contextmanager
    def silent(self, patience: float) -> Iterator[None]:
        """Mark a block in which the host has not spoken; if the slot was lent, wait for another one at its end.

        patience: the seconds after which the slot may be lent. A block that ends with an error takes no slot, since
        there is no host to work on.
        """
        with self._slots.changed:
            self._slots.silent_until[self] = time.monotonic() + patience
        try:
            yield
        except BaseException:
            with self._slots.changed:
                del self._slots.silent_until[self]
            raise
        self._return()

    def _return(self) -> None:
        slots = self._slots
        with slots.changed:
            del slots.silent_until[self]
            if self.held:
                return
            slots.returning += 1
            slots.changed.wait_for(lambda: slots.free)
            slots.returning -= 1
            slots.free -= 1
            slots.lent -= 1
            self.held = True

    def keep(self) -> bool:
        """Return True if the thread may take another host with this slot; else the slot is given up."""
        with self._slots.changed:
            if self.held and not self._slots.returning:
                return True
            self._give_up()
            return False

    def release(self) -> None:
        """Give the slot up."""
        with self._slots.changed:
            self._give_up()

    def _give_up(self) -> None:
        if self.held:
            self._slots.free += 1
            self._slots.changed.notify_all()
        else:
            self._slots.lent -= 1
