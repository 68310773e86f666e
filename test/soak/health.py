# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the node came through: what is asked of it after every act and every stream."""

from contextlib import suppress

import cv2
from builtin_interfaces.msg import Time
from node_harness import NODE, Probe, image_message, picture, wait_until
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import SetBool

from seg_node.msg import InstanceMaskArray
from soak.acts import make_active
from soak.process import WatchedNode
from soak.watcher import Watcher, unexplained_tracebacks

SETTLED_S = 60.0
TRIES, TRY_S = 30, 2.0
# what storms may have set, back to what lets frames through
_DEFAULTS = {"max_rate": 0.0, "roi": [0, 0, 0, 0], "always_on": True, "score_threshold": 0.05, "max_batch": 0}


def restore(probe: Probe) -> None:
    """Active, enabled, without limits: whatever clients have set."""
    make_active(probe)
    probe.call(SetBool, f"{NODE}/enable", SetBool.Request(data=True))
    for name, value in _DEFAULTS.items():
        result, _ = probe.set_parameter(name, value)
        assert result.successful, f"{name}: {result.reason}"


def serves(node: WatchedNode, probe: Probe) -> None:
    """A good image, later than all before it, is answered on ~/instances; best effort may lose some."""
    restore(probe)
    packed = "/image/compressed" in node.log
    heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
    topic = "/image/compressed" if packed else "/image"
    camera = probe.publisher(CompressedImage if packed else Image, topic)
    sent: list[Time] = []

    def is_answered() -> bool:
        return not node.is_alive() or any(found.header.stamp in sent for found in heard)

    for _ in range(TRIES):
        message = _good_image(probe.node.get_clock().now().nanoseconds // 1_000_000, packed)
        sent.append(message.header.stamp)
        camera.publish(message)
        with suppress(AssertionError):
            wait_until(is_answered, TRY_S, "a result")
            break
    assert node.is_alive(), f"the node ended: {node.log[-2000:]}"
    assert is_answered(), f"no result of {TRIES} good images; the log ends: {node.log[-1000:]}"
    probe.node.destroy_publisher(camera)


def _good_image(stamp_ms: int, packed: bool) -> Image | CompressedImage:
    message = image_message(picture(), stamp_ms)
    if not packed:
        return message
    compressed = CompressedImage(header=message.header, format="jpeg")
    compressed.data.frombytes(cv2.imencode(".jpg", picture())[1].tobytes())
    return compressed


def settled(node: WatchedNode, watcher: Watcher) -> None:
    """Every frame that was received is counted as processed or dropped."""
    wait_until(lambda: not node.is_alive() or watcher.sample().in_work == 0, SETTLED_S, "the balance")


def problems(node: WatchedNode, watcher: Watcher) -> list[str]:
    """What must not have happened since the node's start, in words; empty when all is well."""
    found = []
    if not node.is_alive():
        found.append(f"the node ended with {node.process.poll()}: {node.log[-500:]}")
    if lost := watcher.lost_balance():
        found.append(f"{len(lost)} reports with frames that nobody counts, such as {lost[0]}")
    found += [f"unexplained traceback: {text}" for text in unexplained_tracebacks(node.log)]
    found += [f"forbidden: {act}" for act in node.forbidden()]
    found += [f"connection to {address}" for address in sorted(watcher.connections)]
    return found
