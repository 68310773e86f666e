# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Run the demo: node, camera and recorder are three processes that communicate over ROS topics only."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import rclpy
from ament_index_python.packages import get_package_share_directory
from rclpy.signals import SignalHandlerOptions
from tqdm import tqdm

import seg_node
from seg_node.ros.common.signals import Interrupt
from seg_node.ros.demo.accuracy import read_truth_of
from seg_node.ros.demo.arguments import create_parser
from seg_node.ros.demo.output import write_output
from seg_node.ros.demo.processes import Program
from seg_node.ros.demo.recorder import Recorder
from seg_node.ros.demo.report import read_player_log
from seg_node.sources.source import Source, open_source

NODE = "seg_node"
TOPIC = "/camera/image_raw"
START_TIMEOUT_S = 300.0
# After the last image: enough for the slowest frame on a weak CPU and a report of the node (one a second).
SETTLE_TIMEOUT_S = 60.0
INTERRUPTED = 130  # exit status: 128 + SIGINT, as shells report it


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit status; an interrupted run still writes its report.

    Raises ValueError, FileNotFoundError or RuntimeError for what the user can fix.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = create_parser().parse_args(arguments)
    place = _source_place(options)
    source = open_source([place], options.topic)  # fails before anything starts
    truth = read_truth_of(Path(place)) if source.kind in ("video", "bag") else None
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="seg_node_demo_") as folder:
        player_log = Path(folder) / "sent.csv"
        with _recorder(Path(folder), truth is not None) as recorder:
            is_complete = _run_stream(options, place, source, player_log, recorder)
        sent = read_player_log(player_log)
        write_output(options.out, Path(folder), place, arguments, recorder, sent, truth)
    return 0 if is_complete else INTERRUPTED


@contextmanager
def _recorder(pictures: Path, keep_masks: bool) -> Iterator[Recorder]:
    # rclpy must not shut down on Ctrl-C: it ends the stream, and the results so far are still reported.
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    recorder = Recorder(f"/{NODE}", pictures, keep_masks, Interrupt())
    try:
        yield recorder
    finally:
        recorder.destroy_node()
        rclpy.try_shutdown()


def _run_stream(
    options: argparse.Namespace, place: str, source: Source, player_log: Path, recorder: Recorder
) -> bool:
    """Start the node, play the images, wait until each is processed or dropped, and stop both processes.

    Returns False when the user ended it early.
    """
    environment = {**os.environ, **_image_transport(), "RCUTILS_COLORIZED_OUTPUT": "0"}
    with ExitStack() as programs:
        began = time.monotonic()
        node = Program(_node_arguments(options), options.out / "node.log", environment)
        programs.callback(node.stop)
        print(f"node      starting, log in {node.log}", flush=True)
        _wait_until_active(node, recorder)
        seconds = time.monotonic() - began
        _refuse_other_publishers(recorder)
        arguments = _player_arguments(options, place, player_log)
        player = Program(arguments, player_log.with_name("player.log"), environment)
        programs.callback(player.stop)
        recorder.hear_until(lambda: recorder.counts is not None and recorder.counts.device != "none", 5.0)
        facts = f": {recorder.counts.model} on {recorder.counts.device}" if recorder.counts else ""
        print(f"node      active after {seconds:.1f} s{facts}", flush=True)
        total = min(filter(None, (options.frames, source.count)), default=None)
        length = f"{total} images" if total else "images until Ctrl-C"
        print(f"source    {source.name}: {length} on {TOPIC}", flush=True)
        was_interrupted = _play(total, node, player, recorder)
        _settle(recorder)
    return not (was_interrupted and total)


def _wait_until_active(node: Program, recorder: Recorder) -> None:
    def is_active() -> bool:
        if node.status is not None:
            raise node.failure()
        return _is_active(recorder)

    if not recorder.hear_until(is_active, START_TIMEOUT_S):
        raise RuntimeError(f"the node is not active after {START_TIMEOUT_S:g} s:\n{node.last_lines()}")


def _play(total: int | None, node: Program, player: Program, recorder: Recorder) -> bool:
    """Wait until the player ends; return True if Ctrl-C ended it early."""
    with tqdm(total=total, unit="image", disable=None, leave=False) as bar:

        def has_ended() -> bool:
            if node.status is not None:
                raise node.failure()
            return player.status is not None

        try:
            while not recorder.hear_until(has_ended, 0.5):
                bar.n = recorder.counts.received if recorder.counts else 0
                bar.set_postfix_str(f"{recorder.processed()} processed")
        except KeyboardInterrupt:
            player.interrupt()
            recorder.hear_until(has_ended, SETTLE_TIMEOUT_S)
            return True
    if player.status:  # also when it skipped unreadable images
        if not recorder.processed():
            raise player.failure()
        print(player.failure(), file=sys.stderr)
    return False


def _settle(recorder: Recorder) -> None:
    """Wait until the node reports every image processed or dropped, and all results have arrived."""
    reports = recorder.reports

    def is_settled() -> bool:
        counts = recorder.counts
        if counts is None or counts.in_work or recorder.reports == reports:
            return False
        # Results still missing two reports later were lost in transport.
        return counts.processed == recorder.processed() or recorder.reports > reports + 2

    recorder.hear_until(is_settled, SETTLE_TIMEOUT_S)


def _is_active(recorder: Recorder) -> bool:
    """Return whether the node subscribes to images (its last activation step) and its outputs are found."""
    subscribers = recorder.get_subscriptions_info_by_topic(TOPIC)
    return recorder.hears_node() and any(info.node_name == NODE for info in subscribers)


def _refuse_other_publishers(recorder: Recorder) -> None:
    """Raise RuntimeError if another demo or camera runs: its images would mix with ours."""
    for topic, allowed in ((TOPIC, 0), (f"/{NODE}/timing", 1)):
        if recorder.count_publishers(topic) > allowed:
            raise RuntimeError(
                f"{topic} already has a publisher: stop the other demo, node or camera, or set ROS_DOMAIN_ID "
                "to another number (0 to 101)"
            )


def _node_arguments(options: argparse.Namespace) -> list[str]:
    parameters = {
        "model.family": options.model,
        "model.weights": options.weights,
        "model.config": options.config,
        "model.labels": options.labels,
        "device": options.device,
        "precision": options.precision,
        "score_threshold": options.score_threshold,
        # For the contact sheet: the default 80 shows blocks around thin outlines.
        "debug.jpeg_quality": 92,
    }
    given = {name: value for name, value in parameters.items() if value is not None}
    arguments = ["node", "--ros-args", "-r", f"__node:={NODE}", "-r", f"image:={TOPIC}"]
    for name, value in given.items():
        # Quoted, so that a file called 12 stays a string.
        arguments += ["-p", f'{name}:="{value}"' if isinstance(value, str) else f"{name}:={value}"]
    return arguments


def _player_arguments(options: argparse.Namespace, place: str, log: Path) -> list[str]:
    given = {"--rate": options.rate, "--frames": options.frames, "--bag-topic": options.topic}
    extra = [text for name, value in given.items() if value is not None for text in (name, str(value))]
    return ["play", place, "--topic", TOPIC, "--log", str(log), *extra]


def _source_place(options: argparse.Namespace) -> str:
    for place in (options.video, options.images, options.bag, options.camera):
        if place is not None:
            return str(place)
    bag = _share_file("demo/tabletop")
    if not (bag / "metadata.yaml").is_file():
        raise FileNotFoundError(
            f"{bag}: the demo's own stream is missing; name a source, such as --video FILE"
        )
    return str(bag)


def _image_transport() -> dict[str, str]:
    """Environment that sends whole images in shared memory.

    Fast DDS 2 (Jazzy) reads the first name, 3 (Kilted) the second.
    """
    profile = str(_share_file("config/fastdds_images.xml"))
    names = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    return {name: os.environ.get(name) or profile for name in names}


def _share_file(name: str) -> Path:
    """Path of a file of the package: in the checkout if seg_node runs from one, else as installed."""
    checkout = Path(seg_node.__file__).resolve().parents[1]
    if (checkout / "package.xml").is_file():
        return checkout / name
    return Path(get_package_share_directory("seg_node")) / name


if __name__ == "__main__":
    sys.exit(main())
