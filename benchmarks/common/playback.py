# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""One play of pictures through the running node: what was sent, what came back, when, and at what cost."""

import json
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common.measure import process
from common.node_process import NodeProcess
from common.rows import medians

MOST_DROPS = 0.05  # ros2_benchmark's limit for a sustained rate
WARM_UP_S = 1.0
STAGES = ("wait", "decode", "prepare", "infer", "assemble", "track", "publish")
ANSWER_S = 60.0
IDLE_S = 0.5


@dataclass(frozen=True)
class Play:
    """The steady part of a play.

    sent_hz: what the camera managed to send. served_hz: results a second. drops: share of the images without
    a result. latency_ms: from each image's stamp to its result's arrival, age_ms: to its publication.
    jitter_ms: standard deviation of the time between results. cpu_s: CPU time of the node for a result.
    """

    sent_hz: float
    served_hz: float
    drops: float
    latency_ms: list[float]
    age_ms: list[float]
    jitter_ms: float
    stages_ms: dict[str, float]
    cpu_s: float

    @property
    def sustained(self) -> bool:
        return self.drops < MOST_DROPS


def play(
    node: NodeProcess, pictures: Path, rate_hz: float, seconds: float, sample: Callable[[], None]
) -> Play:
    """pictures: uint8 (N, H, W, 3) as .npy. sample: called about once a second meanwhile.

    Raises RuntimeError when nothing, or too little to judge by, comes back.
    """
    before = node.cpu_s()
    with process("subscriber", "instances") as subscriber:
        with process("playback", pictures, rate_hz, seconds + WARM_UP_S) as camera:
            sent = _wait(camera, seconds, sample)
        _wait_idle(node)
        subscriber.terminate()
        heard = json.loads(subscriber.communicate(timeout=ANSWER_S)[0])
    return _evaluate(sent, heard, node.cpu_s() - before)


def _wait(camera: "subprocess.Popen[str]", seconds: float, sample: Callable[[], None]) -> list[int]:
    """The stamps that it sent."""
    answer: list[str] = []
    reader = threading.Thread(target=lambda: answer.append(camera.communicate()[0]), daemon=True)
    reader.start()
    end = time.monotonic() + seconds + ANSWER_S
    while reader.is_alive() and time.monotonic() < end:
        sample()
        reader.join(1.0)
    if not answer:
        raise RuntimeError("the camera does not end; did the node stop to listen?")
    stamps: list[int] = json.loads(answer[0])
    return stamps


def _wait_idle(node: NodeProcess) -> None:
    """Until it has answered the last image."""
    while True:
        before = node.cpu_s()
        time.sleep(IDLE_S)
        if node.cpu_s() - before < 0.3 * IDLE_S:
            return


def _evaluate(sent: list[int], heard: dict[str, Any], cpu_s: float) -> Play:
    arrived = {int(stamp): when for stamp, when in heard["arrived"].get("instances", {}).items()}
    timing = {int(stamp): steps for stamp, steps in heard["timing"].items()}
    if not arrived:
        raise RuntimeError(f"no result for {len(sent)} images; is something else on this ROS_DOMAIN_ID?")
    steady = [stamp for stamp in sent if stamp >= min(arrived) + WARM_UP_S * 1e9]
    served = [stamp for stamp in steady if stamp in arrived and stamp in timing]
    if len(served) < 3:
        raise RuntimeError(f"only {len(served)} results after {WARM_UP_S} s; play longer with --seconds")
    # rates over whole periods: from the first of them to the first one after the last
    span_s = (steady[-1] - steady[0]) / 1e9 * len(steady) / (len(steady) - 1)
    between = np.diff(sorted(arrived[stamp] for stamp in served)) / 1e6
    steps = [{name: timing[stamp][name] for name in STAGES} for stamp in served]
    return Play(
        sent_hz=len(steady) / span_s,
        served_hz=len(served) / span_s,
        drops=1 - len(served) / len(steady),
        latency_ms=[(arrived[stamp] - stamp) / 1e6 for stamp in served],
        age_ms=[timing[stamp]["age"] for stamp in served],
        jitter_ms=float(between.std()),
        stages_ms=medians(steps),
        cpu_s=cpu_s / len(arrived),
    )
