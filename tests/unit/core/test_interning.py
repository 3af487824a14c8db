"""Equal items of many nodes are kept once."""

from __future__ import annotations

import pickle
import tracemalloc

from tasks.core.interning import Interner
from tasks.core.result import Item, ItemStatus, Kind, NodeResult, Status

ITEMS = 43


def items_with_name(number: int) -> tuple[Item, ...]:
    """Return a healthy node's items, one in the middle with the node's name."""
    items = [Item(Kind.SYSCTL, f"vm.x{key}", ItemStatus.OK, "1", "1") for key in range(ITEMS)]
    return (*items[:20], Item(Kind.CHECK, "Hostname", ItemStatus.OK, "a name", f"n{number}"), *items[20:])


def test_items_that_differ_in_one_are_what_they_were_and_share_the_rest() -> None:
    pool = Interner()
    kept = [pool.items(items_with_name(number)) for number in (*range(100), 5)]
    for number, items in zip((*range(100), 5), kept, strict=True):
        assert items == items_with_name(number)
        assert items_with_name(number) == items
        assert hash(items) == hash(items_with_name(number))
        assert (len(items), items[20].got, items[-1].name) == (ITEMS + 1, f"n{number}", f"vm.x{ITEMS - 1}")
        assert items[19:21] == items_with_name(number)[19:21]
    assert kept[5] != kept[6]
    assert pickle.loads(pickle.dumps(kept[5])) == kept[5]  # our own
    common = [item for items in kept for item in items if item.kind is Kind.SYSCTL]
    assert len({id(item) for item in common}) == ITEMS


def test_a_healthy_node_costs_no_more_for_its_name() -> None:
    pool, results = Interner(), [NodeResult(f"n{number}", Status.OK, items_with_name(number)) for number in range(1000)]
    tracemalloc.start()
    kept = [pool.result(result) for result in results]
    del results
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size / len(kept) < 400


def test_what_differs_between_nodes_is_kept_as_it_is() -> None:
    pool = Interner()
    both = [
        NodeResult(name, Status.DRIFT, (Item(Kind.SYSCTL, "vm.x", ItemStatus.DRIFT, "1", got),))
        for name, got in ("a0", "b7")
    ]
    assert [pool.result(result) for result in both] == both
