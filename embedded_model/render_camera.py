# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The robot's camera: where it is, what it measures, and the flaws of its pictures."""

from __future__ import annotations

import io

import mujoco
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from render_scene import FloatArray

Picture = NDArray[np.uint8]


def random_view(
    rng: np.random.Generator, places: FloatArray, steepest: float = 80
) -> tuple[mujoco.MjvCamera, float, float]:
    """A camera 0.4 to 1.5 m from a thing, looking down by 20° to `steepest`; its vertical field of view and
    its roll, in degrees."""
    camera = mujoco.MjvCamera()
    target = places[rng.integers(len(places))] if len(places) else np.zeros(3)
    camera.lookat = target * [0.7, 0.7, 0] + np.append(rng.normal(0, 0.05, 2), rng.uniform(0, 0.08))
    camera.azimuth, camera.elevation = rng.uniform(0, 360), -rng.uniform(20, steepest)
    camera.distance = float(rng.uniform(0.4, 1.5))
    roll = rng.normal(0, 4) if rng.random() < 0.8 else rng.uniform(-180, 180)
    return camera, float(rng.uniform(36, 68)), float(roll)


class Eye:
    """Renders one scene; all pictures of a view are of the same size and geometry."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, size: tuple[int, int]) -> None:
        self.model, self.data = model, data
        self.renderer = mujoco.Renderer(model, *size)

    def __enter__(self) -> Eye:
        return self

    def __exit__(self, *_: object) -> None:
        self.renderer.close()

    def look(self, camera: mujoco.MjvCamera, fovy: float, roll: float = 0.0) -> None:
        """fovy, roll: degrees; roll turns the camera about its own axis."""
        self.model.vis.global_.fovy = fovy
        self.renderer.update_scene(self.data, camera)
        for eye in self.renderer.scene.camera:
            forward, up = np.array(eye.forward, float), np.array(eye.up, float)
            side, angle = np.cross(forward, up), np.radians(roll)
            eye.up = np.cos(angle) * up + np.sin(angle) * side

    def pose(self) -> FloatArray:
        """(4, 4): from the optical frame (x right, y down, z forward) to the world, metres.

        MuJoCo keeps the two eyes of a stereo camera; between them is the centre of projection.
        """
        eyes = self.renderer.scene.camera
        forward, up = np.array(eyes[0].forward, float), np.array(eyes[0].up, float)
        pose = np.eye(4)
        pose[:3, 0], pose[:3, 1], pose[:3, 2] = np.cross(forward, up), -up, forward
        pose[:3, 3] = (np.array(eyes[0].pos) + np.array(eyes[1].pos)) / 2
        return pose

    def colour(self) -> Picture:
        return self.renderer.render().copy()

    def depth_m(self) -> NDArray[np.float32]:
        """Along the optical axis."""
        self.renderer.enable_depth_rendering()
        depth = self.renderer.render().copy()
        self.renderer.disable_depth_rendering()
        return depth

    def geoms(self) -> NDArray[np.int32]:
        """Geom number of every pixel, -1 where there is none."""
        self.renderer.enable_segmentation_rendering()
        pixels = self.renderer.render()
        self.renderer.disable_segmentation_rendering()
        return np.where(pixels[..., 1] == int(mujoco.mjtObj.mjOBJ_GEOM), pixels[..., 0], -1)


def as_photographed(picture: Picture, rng: np.random.Generator) -> bytes:
    """A JPEG with the exposure, white balance, blur, vignette and noise of a cheap camera."""
    light = picture.astype(np.float32) / 255
    gain = rng.uniform(0.28, 0.55) / max(float(light.mean()), 0.05)
    light = light * np.clip(gain, 0.7, 2.5) * rng.uniform(0.9, 1.1, 3).astype(np.float32)
    light = np.clip(light, 0, 1.3) ** rng.uniform(0.8, 1.2)
    rows, columns = (np.linspace(-1, 1, n, dtype=np.float32) for n in picture.shape[:2])
    light *= (1 - rng.uniform(0, 0.25) * (rows[:, None] ** 2 + columns[None] ** 2) / 2)[..., None]
    image = Image.fromarray(np.clip(light * 255, 0, 255).astype(np.uint8))
    if rng.random() < 0.35:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.3))))
    elif rng.random() < 0.3:
        image = image.filter(ImageFilter.UnsharpMask(2, int(rng.integers(50, 150)), 2))
    noisy = np.asarray(image, np.float32)
    if rng.random() < 0.7:
        strength = rng.uniform(0.5, 7)
        noisy = noisy + rng.normal(0, 1, noisy.shape).astype(np.float32) * strength * (0.5 + noisy / 255)
    buffer = io.BytesIO()
    final = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
    final.save(buffer, "JPEG", quality=int(rng.integers(60, 96)))
    return buffer.getvalue()
