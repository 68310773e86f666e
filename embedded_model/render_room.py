# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Rooms for the renders: a table or none, floor, walls, windows, furniture, lights, a gripper in the way."""

from __future__ import annotations

import numpy as np
import textures
from render_scene import BOX, CYLINDER, PLANE, Scene, yaw
from shapes import plain

FLOOR_Z = -0.75
LIGHT_WALLS = ((225, 222, 214), (200, 205, 208), (238, 236, 230), (180, 190, 175), (210, 190, 165))


def add_room(scene: Scene) -> np.ndarray:
    """Everything but things. Returns the half sizes of the area where things may stand."""
    rng = scene.rng
    on_floor = rng.random() < 0.07
    floor_z = 0.0 if on_floor else FLOOR_Z
    floor = scene.material(_surface(rng), shine=0.1, repeat=float(rng.uniform(0.5, 2)))
    scene.add_stuff("floor", PLANE, [6, 6, 0.1], [0, 0, floor_z], floor)
    half = np.array([0.5, 0.5]) if on_floor else _add_table(scene)
    _add_walls(scene, floor_z)
    for _ in range(int(rng.integers(0, 4))):
        _add_furniture(scene, floor_z, half)
    _add_lights(scene)
    if rng.random() < 0.12:
        _add_gripper(scene)
    return half


def _surface(rng: np.random.Generator, size: int = 256) -> textures.Picture:
    if rng.random() < 0.3:
        return plain(LIGHT_WALLS[int(rng.integers(len(LIGHT_WALLS)))])
    picture = textures.surface_picture(rng, size)
    return textures.muted(rng, picture) if rng.random() < 0.6 else picture


def _add_table(scene: Scene) -> np.ndarray:
    rng = scene.rng
    half = rng.uniform([0.35, 0.3], [0.95, 0.7])
    thick = float(rng.uniform(0.01, 0.03))
    shine = float(rng.uniform(0, 0.6))
    top = scene.material(_surface(rng, 512), shine=shine, repeat=float(rng.uniform(0.8, 4)))
    if rng.random() < 0.2:
        half = np.full(2, rng.uniform(0.4, 0.65))
        scene.add_stuff("table", CYLINDER, [half[0], thick, 0], [0, 0, -thick], top)
        half = half * 0.7
    else:
        scene.add_stuff("table", BOX, [*half, thick], [0, 0, -thick], top)
    legs = scene.material(plain(textures.random_colour(rng)))
    tall = -FLOOR_Z / 2 - thick
    for x, y in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        place = [0.88 * x * half[0], 0.88 * y * half[1], -2 * thick - tall]
        scene.add_stuff("table", BOX, [0.025, 0.025, tall], place, legs)
    return half


def _add_walls(scene: Scene, floor_z: float) -> None:
    rng = scene.rng
    looks = [
        scene.material(
            _surface(rng), shine=0.0, repeat=float(rng.uniform(0.3, 1.2)), glow=float(rng.uniform(0, 0.15))
        )
        for _ in range(2)
    ]
    for side in range(4):
        distance, angle = float(rng.uniform(2.0, 3.8)), side * np.pi / 2
        out, along = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        look = looks[int(rng.random() < 0.3)]
        scene.add_stuff("wall", BOX, [0.05, 5, 1.75], [*(distance * out), floor_z + 1.7], look, yaw(angle))
        if rng.random() < 0.3:
            board = scene.material(textures.surface_picture(rng))
            place = [*((distance - 0.06) * out), floor_z + 0.05]
            scene.add_stuff("wall", BOX, [0.012, 5, 0.05], place, board, yaw(angle))
        if rng.random() < 0.65:
            at = (distance - 0.06) * out + rng.uniform(-1.2, 1.2) * along
            _add_opening(scene, np.array([*at, floor_z + rng.uniform(1.0, 1.7)]), angle)


def _add_opening(scene: Scene, place: np.ndarray, angle: float) -> None:
    """A window with the sky in it, or a picture, in a frame."""
    rng = scene.rng
    half = rng.uniform([0.25, 0.25], [0.8, 0.6])
    frame = scene.material(plain(textures.random_colour(rng)))
    scene.add_stuff("other", BOX, [0.02, *(half + 0.05)], place, frame, yaw(angle))
    if rng.random() < 0.65:
        inside = scene.material(textures.sky_picture(rng), glow=float(rng.uniform(0.5, 1.0)))
    else:
        inside = scene.material(textures.label_picture(rng))
    nearer = place - np.array([0.015 * np.cos(angle), 0.015 * np.sin(angle), 0])
    scene.add_stuff("other", BOX, [0.02, *half], nearer, inside, yaw(angle))


def _add_furniture(scene: Scene, floor_z: float, half: np.ndarray) -> None:
    """A cupboard, a chair's back, a carton: a cuboid beside the table."""
    rng = scene.rng
    size = rng.uniform([0.15, 0.15, 0.2], [0.5, 0.4, 0.9])
    angle = rng.uniform(0, 2 * np.pi)
    away = float(np.hypot(*half) + np.hypot(*size[:2]) + rng.uniform(0.05, 0.9))
    look = scene.material(_surface(rng), shine=float(rng.uniform(0, 0.4)), repeat=float(rng.uniform(0.5, 3)))
    place = [away * np.cos(angle), away * np.sin(angle), floor_z + size[2]]
    scene.add_stuff("other", BOX, list(size), place, look, yaw(rng.uniform(0, np.pi)))


def _add_lights(scene: Scene) -> None:
    rng, light = scene.rng, scene.spec.visual.headlight
    light.ambient = [float(rng.uniform(0.2, 0.55))] * 3
    light.diffuse = [float(rng.uniform(0, 0.35))] * 3
    light.specular = [float(rng.uniform(0, 0.2))] * 3
    warm = rng.uniform(0.85, 1.0, 3)
    for i in range(int(rng.integers(1, 4))):
        place = np.append(rng.uniform(-1.5, 1.5, 2), rng.uniform(1.0, 2.4))
        strength = rng.uniform(0.25, 0.75) / (1 + i) * warm * rng.uniform(0.92, 1.0, 3)
        scene.spec.worldbody.add_light(
            pos=place,
            dir=-place,
            diffuse=strength,
            specular=strength * rng.uniform(0, 1),
            castshadow=i == 0 or rng.random() < 0.3,
            cutoff=90,
            attenuation=[1, 0, 0],
        )


def _add_gripper(scene: Scene) -> None:
    """Two fingers, a palm and an arm from above: other, and free of the things below it."""
    rng = scene.rng
    x, y = rng.uniform(-0.25, 0.25, 2)
    tip, opening = rng.uniform(0.12, 0.3), rng.uniform(0.02, 0.05)
    turn = rng.uniform(0, np.pi)
    dark = scene.material(plain((int(rng.integers(20, 70)),) * 3), shine=0.4)
    bright = scene.material(plain((int(rng.integers(120, 245)),) * 3), shine=0.6)
    across = np.array([np.cos(turn), np.sin(turn)])
    for side in (-1, 1):
        finger = [x + side * opening * across[0], y + side * opening * across[1], tip + 0.035]
        scene.add_stuff("other", BOX, [0.006, 0.01, 0.035], finger, dark, yaw(turn), solid=False)
    scene.add_stuff("other", BOX, [0.08, 0.03, 0.025], [x, y, tip + 0.09], bright, yaw(turn), solid=False)
    scene.add_stuff("other", CYLINDER, [0.04, 0.4, 0], [x, y, tip + 0.51], bright, solid=False)


def add_tray(scene: Scene) -> np.ndarray:
    """A bin or tray in the middle of the table ("other"). Returns the half sizes of its inside."""
    rng = scene.rng
    half, tall, wall = rng.uniform([0.15, 0.12], [0.3, 0.22]), float(rng.uniform(0.02, 0.09)), 0.006
    look = scene.material(plain(textures.random_colour(rng)), shine=float(rng.uniform(0, 0.6)))
    bottom = scene.material(_surface(rng), repeat=2.0) if rng.random() < 0.4 else look
    scene.add_stuff("other", BOX, [*half, 0.002], [0, 0, 0.002], bottom)
    for sign in (-1, 1):
        scene.add_stuff("other", BOX, [wall, half[1], tall], [sign * half[0], 0, tall], look)
        scene.add_stuff("other", BOX, [half[0], wall, tall], [0, sign * half[1], tall], look)
    return half - 2 * wall
