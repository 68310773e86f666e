# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The node's end of the bond by which Nav2's lifecycle manager watches its nodes.

Only heartbeats under the node's name, as nav2_util's nodes send them; what the manager sends changes nothing.
bondpy is not used: it destroys its subscription while the executor waits for it, which ends the process.
"""

import math
import threading
import uuid
from contextlib import suppress

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

TOPIC = "bond"  # relative: manager and node are in one namespace
PERIOD_S = 0.1
FAREWELLS = 20  # 2 s, as bondcpp: a farewell may be overwritten in the manager's queue
TIMEOUT_S = 4.0  # the manager's default bond_timeout; sent for information only


class LifecycleBond:
    """A bond that is formed while `set_alive(True)` holds.

    The heartbeats have a thread of their own, so that a busy executor does not look like a dead node. The
    caller breaks the bond when the worker hangs. Raises RuntimeError when the messages are not installed.
    """

    def __init__(self, node: Node) -> None:
        try:
            from bond.msg import Status
        except ImportError as error:
            raise RuntimeError(
                f"parameter bond.enabled is true, but bond.msg cannot be imported ({error}); install it "
                "(apt install ros-$ROS_DISTRO-bond), or set bond.enabled to false and the lifecycle "
                "manager's bond_timeout to 0.0"
            ) from None
        self._node = node
        self._message = Status(id=node.get_name(), heartbeat_timeout=TIMEOUT_S, heartbeat_period=PERIOD_S)
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
        self._publisher = node.create_publisher(Status, TOPIC, qos)
        self._left = 0.0  # messages that will still be sent
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="bond", daemon=True)
        self._thread.start()

    def set_alive(self, alive: bool) -> None:
        """Form the bond, or break it: the manager learns at once that the node does not work.

        A repeated call changes nothing. A broken bond is formed anew, under another instance id.
        """
        with self._lock:
            if alive == self._message.active:
                return
            if alive:
                self._message.instance_id = str(uuid.uuid4())
            self._message.active = alive
            self._left = math.inf if alive else FAREWELLS
            self._publish()

    def close(self) -> None:
        """Break the bond for good."""
        self.set_alive(False)
        self._closing.set()
        self._thread.join()
        self._node.destroy_publisher(self._publisher)

    def _beat(self) -> None:
        while not self._closing.wait(PERIOD_S):
            with self._lock:
                if self._left > 0:
                    self._left -= 1
                    self._publish()

    def _publish(self) -> None:
        self._message.header.stamp = self._node.get_clock().now().to_msg()
        with suppress(RuntimeError):  # RCLError under back-pressure: the next heartbeat is near
            self._publisher.publish(self._message)
