"""Slots: lent by silent hosts, returned to hosts that speak before a new host gets one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest

from tasks.fleet import slots
from tasks.fleet.slots import Slot, Slots

SECONDS = 10.0


def take(some: Slots) -> Slot:
    slot = some.take()
    assert slot
    return slot


@contextmanager
def silent_and_lent(some: Slots, slot: Slot) -> Iterator[None]:
    with slot.silent(0):
        some.lend_silent()
        yield


def test_there_are_as_many_slots_as_forks() -> None:
    some = Slots(2)
    first = take(some)
    take(some)
    assert some.take() is None
    first.release()
    assert some.take()


def test_a_silent_host_lends_its_slot_and_has_one_again_when_it_speaks() -> None:
    some = Slots(2)
    first = take(some)
    with silent_and_lent(some, first):
        assert not first.held
        take(some)
        other = take(some)
        assert some.take() is None
        other.release()
    assert first.held
    assert some.take() is None


def test_a_host_that_speaks_waits_for_a_slot_and_goes_before_new_hosts() -> None:
    some, is_silent, speak = Slots(2), Event(), Event()
    first = take(some)

    def host() -> bool:
        with first.silent(0):
            is_silent.set()
            assert speak.wait(SECONDS)
        return first.held

    with ThreadPoolExecutor(1) as pool:
        returning = pool.submit(host)
        assert is_silent.wait(SECONDS)
        some.lend_silent()
        others = [take(some), take(some)]
        speak.set()
        while not some.returning:
            assert not returning.done()
        assert some.take() is None
        assert not others[0].keep()
        assert returning.result(SECONDS)
        assert others[1].keep()


def test_a_host_that_fails_in_its_silence_takes_no_slot() -> None:
    some = Slots(2)
    first = take(some)
    with pytest.raises(OSError, match="no answer"), silent_and_lent(some, first):
        for slot in (take(some), take(some)):
            slot.release()
        raise OSError("no answer")
    assert not first.held
    assert not first.keep()
    assert (some.lent, some.free, some.silent_until) == (0, 2, {})


def test_a_single_slot_is_not_lent() -> None:
    some = Slots(1)
    slot = take(some)
    with silent_and_lent(some, slot):
        assert slot.held


def test_a_slot_is_not_lent_before_its_time() -> None:
    some = Slots(2)
    slot, other = take(some), take(some)
    with pytest.raises(OSError, match="no answer"), slot.silent(SECONDS), other.silent(0):
        some.lend_silent()
        assert (slot.held, other.held) == (True, False)
        raise OSError("no answer")


def test_no_more_slots_are_lent_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "MAX_SILENT", 1)
    some = Slots(2)
    first, second = take(some), take(some)
    with pytest.raises(OSError, match="no answer"), first.silent(0), second.silent(0):
        some.lend_silent()
        assert (first.held, second.held) == (False, True)
        raise OSError("no answer")
    assert (some.lent, some.free) == (1, 1)
