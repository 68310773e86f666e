# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`seg_node view`: show a running node's images and results in Rerun, a browser or a recording."""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from seg_node.ros.common import memory
from seg_node.ros.common.arguments import split_arguments
from seg_node.ros.common.signals import Interrupt
from seg_node.ros.view.arguments import check, create_parser
from seg_node.ros.view.viewer_node import PATIENCE_S, Viewer

if TYPE_CHECKING:
    from seg_node.drawing.rerun_view import View

HEADLESS = "without a window: --serve (open its address in a browser) or --save FILE.rrd"


def main(argv: Sequence[str] | None = None) -> int:
    """Show results until interrupted; return 2 when no window can be opened.

    ROS arguments (--ros-args …) are accepted too.

    Raises ValueError, FileNotFoundError or RuntimeError for what the user can fix.
    """
    arguments, ros_arguments = split_arguments(sys.argv[1:] if argv is None else argv)
    options = create_parser().parse_args(arguments)
    check(options)
    from seg_node.drawing.rerun_view import (  # here, so that --help needs no Rerun
        NoViewer,
        View,
        check_folder,
    )

    view = View(options.camera)
    try:
        if options.save:
            check_folder(options.save)
        else:
            _open(view, options)
    except NoViewer as error:
        print(f"seg_node view: {error}\n{HEADLESS}", file=sys.stderr)
        return 2
    memory.keep_large_buffers()
    interrupt = Interrupt()
    rclpy.init(args=ros_arguments, signal_handler_options=SignalHandlerOptions.NO)
    viewer = Viewer(view, "/" + options.node.strip("/"), options.camera, options.image)
    try:
        _wait_for_node(viewer, options, interrupt)
        if options.save:
            view.save(options.save)
            print(f"recording to {options.save} until Ctrl-C", flush=True)
        _show(viewer, options, interrupt)
    except KeyboardInterrupt:
        pass  # the usual way to end
    finally:
        viewer.destroy_node()
        rclpy.try_shutdown()
        view.close()
        print(
            f"shown: {viewer.shown} results; without their image: {viewer.without_image}; "
            f"messages left out: {viewer.left_out.count}",
            flush=True,
        )
    return 0


def _open(view: "View", options: argparse.Namespace) -> None:
    if options.serve:
        address = view.serve(options.web_port, options.grpc_port)
        print(f"open {address}", flush=True)
    else:
        view.open_window()


def _wait_for_node(viewer: Viewer, options: argparse.Namespace, interrupt: Interrupt) -> None:
    """Wait until the viewer has subscribed. The printed list of running nodes reveals a misspelt name."""
    node, began, printed = "/" + options.node.strip("/"), time.monotonic(), ""
    while (topic := viewer.find_node()) is None:
        interrupt.check()
        text = f"waiting for {node} to be active"
        if time.monotonic() - began > PATIENCE_S:
            text += f"; nodes that publish instances: {', '.join(viewer.list_nodes()) or 'none'}"
        if text != printed:
            print(printed := text, flush=True)
        time.sleep(0.5)
    print(f"showing {node}, images from {topic}", flush=True)


def _show(viewer: Viewer, options: argparse.Namespace, interrupt: Interrupt) -> None:
    executor = SingleThreadedExecutor()
    executor.add_node(viewer)
    while options.frames is None or viewer.shown < options.frames:
        interrupt.check()
        executor.spin_once(timeout_sec=0.1)


if __name__ == "__main__":
    sys.exit(main())
