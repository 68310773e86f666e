"""Faults are counted with their reason and logged, each reason at most every 30 s."""

from rclpy.impl.rcutils_logger import RcutilsLogger

from seg_node.ros.diagnostics import FrameStatistics


class Faults:
    """What went wrong with one camera's frames."""

    def __init__(self, statistics: FrameStatistics, logger: RcutilsLogger) -> None:
        self._statistics, self._logger = statistics, logger

    def drop(self, reason: str, text: str) -> None:
        """A received frame gives no result."""
        if self._statistics.dropped(reason, bad=True):
            self._logger.warning(f"frame dropped ({reason}): {text}")

    def warn(self, reason: str, text: str, count: int = 1) -> None:
        """Something is wrong, but no received frame was dropped for it."""
        if self._statistics.warned(reason, count):
            self._logger.warning(text)
