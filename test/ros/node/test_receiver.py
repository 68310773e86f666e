# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The thread that receives a camera's messages."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

import rclpy
from node_harness import wait_until
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import Int32, String

from seg_node.ros.node.receiver import ExternallyPolledGroup, Receiver


@pytest.fixture
def node() -> Iterator[Node]:
    context = rclpy.Context()
    rclpy.init(context=context)
    found = rclpy.create_node("receiving", context=context)
    yield found
    found.destroy_node()
    rclpy.shutdown(context=context)


def subscribe(node: Node, kind: type[Any], topic: str, callback: Any) -> Any:
    return node.create_subscription(kind, topic, callback, 10, callback_group=ExternallyPolledGroup())


def test_callbacks_run_in_the_receivers_thread_though_the_executor_spins(node: Node) -> None:
    threads: list[str] = []
    other: list[str] = []
    subscription = subscribe(node, Int32, "number", lambda _: threads.append(threading.current_thread().name))
    node.create_subscription(Int32, "number", lambda _: other.append(threading.current_thread().name), 10)
    publisher = node.create_publisher(Int32, "number", 10)
    receiver = Receiver([subscription], node.context, lambda *fault: pytest.fail(str(fault)))
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)

    def came() -> bool:
        executor.spin_once(timeout_sec=0.01)
        return len(threads) == len(other) == 3

    for number in range(3):
        publisher.publish(Int32(data=number))
    wait_until(came, 10, "the messages")
    receiver.close()
    executor.shutdown()
    assert set(threads) == {"receiver"} and set(other) == {"MainThread"}


def test_a_message_that_cannot_be_received_affects_no_other(node: Node) -> None:
    heard: list[object] = []
    faults: list[BaseException | None] = []

    def refuse_the_first(message: Int32) -> None:
        if message.data == 0:
            raise KeyError("no such thing")
        heard.append(message.data)

    subscriptions = [
        subscribe(node, Int32, "number", refuse_the_first),
        subscribe(node, String, "word", lambda message: heard.append(message.data)),
    ]
    receiver = Receiver(subscriptions, node.context, lambda _, error: faults.append(error))
    numbers, words = node.create_publisher(Int32, "number", 10), node.create_publisher(String, "word", 10)
    numbers.publish(Int32(data=0))
    wait_until(lambda: bool(faults), 10, "the fault")
    numbers.publish(Int32(data=7))
    words.publish(String(data="seven"))
    wait_until(lambda: len(heard) == 2, 10, "the messages after it")
    receiver.close()
    assert heard == [7, "seven"] or heard == ["seven", 7]
    assert len(faults) == 1 and "no such thing" in str(faults[0])


def test_nothing_is_received_after_closing(node: Node) -> None:
    heard: list[int] = []
    subscription = subscribe(node, Int32, "number", lambda message: heard.append(message.data))
    publisher = node.create_publisher(Int32, "number", 10)
    receiver = Receiver([subscription], node.context, lambda *fault: pytest.fail(str(fault)))
    publisher.publish(Int32(data=1))
    wait_until(lambda: heard == [1], 10, "the first message")
    receiver.close()
    publisher.publish(Int32(data=2))
    node.destroy_subscription(subscription)
    assert heard == [1]
