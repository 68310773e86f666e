import threading

from seg_node.ros.slot import NewestSlot, NewestSlots


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


def test_names_are_served_in_turn_whoever_is_faster() -> None:
    slots: NewestSlots[int] = NewestSlots()
    served = []
    for number in range(6):
        slots.put("fast", number)
        if number % 2 == 0:
            slots.put("slow", number)
        served += slots.take(1, 0.0)
    assert served == ["fast", "slow", "fast", "slow", "fast", "slow"]


def test_a_held_name_waits_and_does_not_keep_others_from_being_taken() -> None:
    slots: NewestSlots[int] = NewestSlots()
    slots.hold("limited", 0.2)
    slots.put("limited", 1)
    slots.put("free", 2)
    assert slots.take(5, 0.0) == {"free": 2}
    assert slots.take(5, 0.0) == {}
    assert slots.put("limited", 3) == 1
    assert slots.take(5, 5.0) == {"limited": 3}  # wakes when the time is over, not at the timeout


def test_take_gives_at_most_so_many_names_and_clear_gives_the_rest() -> None:
    slots: NewestSlots[int] = NewestSlots()
    for name in "abc":
        slots.put(name, 1)
    assert len(slots.take(2, 0.0)) == 2
    slots.hold("d", 60.0)
    slots.put("d", 4)
    assert slots.clear() == {"c": 1, "d": 4}
    assert slots.take(5, 0.0) == {}
