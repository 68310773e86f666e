# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The pinhole camera model: pixels to rays and points to pixels. No ROS.

Points are in the optical frame: x right, y down, z forward, metres. The centre of pixel (row i, column j) is
at (j, i), as in sensor_msgs/CameraInfo.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Pinhole:
    """A camera without distortion.

    fx, fy: focal lengths in pixels. cx, cy: column and row of the optical axis. image_size: (height, width)
    of the published image, after binning and region of interest.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    image_size: tuple[int, int]

    def rays(self, columns: ArrayLike, rows: ArrayLike) -> NDArray[np.float64]:
        """Rays of the pixels at N columns and rows (may be fractional): points (N, 3) on the plane z = 1."""
        x = (np.asarray(columns, np.float64) - self.cx) / self.fx
        y = (np.asarray(rows, np.float64) - self.cy) / self.fy
        return np.stack([x, y, np.ones_like(x)], axis=-1)

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """Project points (N, 3) to pixels (N, 2), column and row; NaN for points behind the camera."""
        x, y, z = np.asarray(points, np.float64).T
        z = np.where(z > 0, z, np.nan)
        return np.stack([self.fx * x / z + self.cx, self.fy * y / z + self.cy], axis=-1)
