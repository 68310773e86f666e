# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Forwards the core's records from Python's logging to the node's log and /rosout."""

import logging

from rclpy.impl.rcutils_logger import RcutilsLogger


class RosLog(logging.Handler):
    """Passes records on to a ROS logger."""

    def __init__(self, logger: RcutilsLogger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        # a line each: rclpy refuses one line that logs with different severities
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        else:
            self._logger.info(text)


def pass_on_core_log(logger: RcutilsLogger) -> None:
    """Forward the records of all core modules in this process to a ROS logger."""
    core = logging.getLogger("seg_node")
    core.addHandler(RosLog(logger))
    core.setLevel(logging.INFO)
    core.propagate = False
