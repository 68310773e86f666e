import threading

from seg_node.ros.slot import NewestSlot


def test_the_newest_item_replaces_the_one_that_waits() -> None:
    slot: NewestSlot[str] = NewestSlot()
    assert slot.put("first") is None
    assert slot.put("second") == "first"
    assert slot.take(0.0) == "second"
    assert slot.take(0.0) is None


def test_take_waits_for_a_late_item() -> None:
    slot: NewestSlot[int] = NewestSlot()
    threading.Timer(0.05, slot.put, [7]).start()
    assert slot.take(5.0) == 7
