# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
import threading

from seg_node.ros.node.slot import NewestSlot, NewestSlots


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


def test_names_are_served_in_turn_whichever_is_faster() -> None:
    slots: NewestSlots[int] = NewestSlots()
    served = []
    for number in range(6):
        slots.put("fast", number)
        if number % 2 == 0:
            slots.put("slow", number)
        served += slots.take(1)
    assert served == ["fast", "slow", "fast", "slow", "fast", "slow"]


def test_a_name_pauses_for_the_interval_without_blocking_others() -> None:
    slots: NewestSlots[int] = NewestSlots()
    slots.put("limited", 0)
    assert slots.take(1) == {"limited": 0}
    slots.put("limited", 1)
    slots.put("free", 2)
    assert slots.take(5, interval_s=0.2) == {"free": 2}
    assert slots.put("limited", 3) == 1
    assert slots.wait(60.0, interval_s=0.2)  # wakes when the interval is over, not at the timeout
    assert slots.take(5, interval_s=0.2) == {"limited": 3}


def test_a_shorter_interval_takes_effect_at_once() -> None:
    slots: NewestSlots[int] = NewestSlots()
    slots.put("camera", 0)
    slots.take(1, interval_s=100.0)
    slots.put("camera", 1)
    assert slots.take(1, interval_s=100.0) == {}
    assert slots.take(1, interval_s=0.0) == {"camera": 1}


def test_wake_ends_one_wait_without_an_item() -> None:
    slots: NewestSlots[int] = NewestSlots()
    slots.wake()
    assert slots.wait(60.0) and slots.take(1) == {}
    assert not slots.wait(0.0)


def test_take_returns_at_most_the_given_number_of_names_and_clear_the_rest() -> None:
    slots: NewestSlots[int] = NewestSlots()
    for name in "abc":
        slots.put(name, 1)
    assert len(slots.take(2)) == 2
    slots.put("d", 4)
    assert slots.clear() == {"c": 1, "d": 4}
    assert slots.take(5) == {}
