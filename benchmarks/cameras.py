# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Are several cameras served alike? Four at 15 Hz on one node with a tiny model, on the CPU.

    scripts/run python benchmarks/cameras.py --out DIR [--cameras 4] [--rate 15] [--seconds 20] [--dead 1]

writes DIR/cameras.json and prints a table: per camera frames sent and served, the longest gap between two
results, and the age of results. --dead: so many of them stop half-way, to see that the others do not notice.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import rclpy
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from seg_node.msg import FrameTiming, InstanceMaskArray

SIZE = 480, 640
START_S = 60.0
WARM_UP_S = 3.0  # the first frames are slower: kernels are chosen for each new size


@dataclass(frozen=True)
class Row:
    """One camera. received: images that reached the node. gap: the longest without a result, once warm."""

    camera: str
    sent: int
    received: int
    served: int
    longest_gap_ms: float
    age_p50_ms: float
    age_p95_ms: float


class Cameras:
    """Publishes on every camera's topic and notes what comes back, in this process."""

    def __init__(self, node: Node, names: list[str], rate_hz: float) -> None:
        self._node, self._rate_hz = node, rate_hz
        self.sent: dict[str, int] = defaultdict(int)
        self.last_sent: dict[str, float] = {}
        self.came: dict[str, list[float]] = defaultdict(list)
        self.ages_ms: dict[str, list[float]] = defaultdict(list)
        self._stopped: set[str] = set()
        self._message = _noise()
        self.publishers = {
            name: node.create_publisher(Image, f"/{name}/image", qos_profile_sensor_data) for name in names
        }
        self._reports: dict[str, dict[str, str]] = {}
        node.create_subscription(DiagnosticArray, "/diagnostics", self._note_report, 10)
        for name in names:
            own = f"/seg_node/{name}"
            node.create_subscription(InstanceMaskArray, f"{own}/instances", partial(self._note, name), 5)
            node.create_subscription(FrameTiming, f"{own}/timing", partial(self._note_age, name), 5)

    def send(self, seconds: float, dead: list[str]) -> None:
        """The cameras are not in step: each has its own phase."""
        start = time.monotonic()
        due = {
            name: start + i / len(self.publishers) / self._rate_hz for i, name in enumerate(self.publishers)
        }
        while (now := time.monotonic()) < start + seconds:
            for name, publisher in self.publishers.items():
                if name in dead and now > start + seconds / 2:
                    continue
                if now >= due[name]:
                    due[name] += 1 / self._rate_hz
                    self._message.header.stamp = self._node.get_clock().now().to_msg()
                    publisher.publish(self._message)
                    self.sent[name] += 1
                    self.last_sent[name] = now
            time.sleep(0.001)

    def _note(self, name: str, _: InstanceMaskArray) -> None:
        self.came[name].append(time.monotonic())

    def _note_age(self, name: str, message: FrameTiming) -> None:
        self.ages_ms[name].append(message.age_ms)

    def _note_report(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self._reports[status.name.rpartition(" ")[2]] = {pair.key: pair.value for pair in status.values}

    def rows(self) -> list[Row]:
        rows = []
        for name in self.publishers:
            came = self.came[name]
            times = [t for t in came if came[0] + WARM_UP_S < t <= self.last_sent[name] + 1]
            gap_ms = float(np.diff(times).max()) * 1e3 if len(times) > 1 else float("inf")
            p50, p95 = np.percentile(self.ages_ms[name], (50, 95)).tolist() if times else (0.0, 0.0)
            received = int(self._reports.get(name, {}).get("received", 0))
            rows.append(Row(name, self.sent[name], received, len(self.came[name]), gap_ms, p50, p95))
        return rows


def _noise() -> Image:
    height, width = SIZE
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    message = Image(height=height, width=width, encoding="bgr8", step=3 * width)
    message.header.frame_id = "camera_optical_frame"
    message.data.frombytes(pixels.tobytes())
    return message


def measure(arguments: argparse.Namespace, folder: Path) -> list[Row]:
    names = [f"camera_{i + 1}" for i in range(arguments.cameras)]
    parameters = {
        "cameras": names,
        "device": "cpu",
        "model.weights": str(arguments.weights or ""),
        "model.config": str(arguments.config or ""),
    }
    file = folder / "parameters.yaml"
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
    command = [sys.executable, "-m", "seg_node.ros.node", "--ros-args", "--params-file", str(file)]
    running = subprocess.Popen(command)
    rclpy.init()
    node = rclpy.create_node("cameras")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    try:
        cameras = Cameras(node, names, arguments.rate)
        thread.start()
        end = time.monotonic() + START_S
        while not all(p.get_subscription_count() for p in cameras.publishers.values()):
            if time.monotonic() > end or running.poll() is not None:
                raise RuntimeError("the node did not start; see its log above")
            time.sleep(0.1)
        cameras.send(arguments.seconds, names[: arguments.dead])
        time.sleep(1.5)  # the last report of the node
        return cameras.rows()
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(30)
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown()


def table(rows: list[Row]) -> str:
    lines = [
        "| camera | sent | received | served | longest gap | age p50 | age p95 |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        gap, p50, p95 = (f"{value:.0f} ms" for value in (row.longest_gap_ms, row.age_p50_ms, row.age_p95_ms))
        lines.append(f"| {row.camera} | {row.sent} | {row.received} | {row.served} | {gap} | {p50} | {p95} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--rate", type=float, default=15.0, help="images per second of each camera")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--dead", type=int, default=0, help="cameras that stop half-way")
    parser.add_argument("--weights", type=Path, help="checkpoint (default: the embedded model)")
    parser.add_argument("--config", type=Path, help="its configuration file")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 100 + 1))  # alone, whatever else runs here
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(arguments, Path(folder))
    report = {
        "date": date.today().isoformat(),
        "load": os.getloadavg()[0],
        "rate_hz": arguments.rate,
        "rows": [asdict(row) for row in rows],
    }
    (arguments.out / "cameras.json").write_text(json.dumps(report, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
