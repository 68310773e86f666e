# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Where things stand: spread over the table, some upon others, or dropped into a heap."""

from __future__ import annotations

import food
import mujoco
import numpy as np
import objects
from hard_kinds import arm
from render_room import add_room, add_tray
from render_scene import FloatArray, Scene, any_turn, lie_down, yaw
from shapes import Thing, moved, thing

# What physics gets to bring a heap to rest.
FALL_S = 0.9
ARM_CHANCE = 0.2


def make_scene(
    seed: int, size: tuple[int, int], held_out: bool, own: bool = False
) -> tuple[Scene, mujoco.MjModel, mujoco.MjData, FloatArray]:
    """A room with things, at rest, and the places (N, 3) of the things, for cameras to look at.

    own: see `objects.things_with_own`.
    """
    rng = np.random.default_rng(seed)
    scene = Scene(rng, size)
    half = add_room(scene)
    in_tray = rng.random() < 0.25
    if in_tray:
        half = np.minimum(half, add_tray(scene))
    spread = np.minimum(half, rng.uniform(0.16, 0.45))
    if own:
        wanted = objects.things_with_own(rng)
    else:
        wanted = [objects.random_thing(rng, held_out) for _ in range(int(rng.integers(4, 20)))]
    if not (held_out or own):
        wanted = objects.with_hard_kinds(rng, wanted)
        if rng.random() < ARM_CHANCE:
            _reach_in(scene, spread)
    if rng.random() < (0.5 if in_tray else 0.12):
        heap = [one for one in wanted if one.solid and one.radius < 0.16]
        _drop(scene, heap, spread)
        model, data = scene.settled(FALL_S)
    else:
        _spread_out(scene, wanted, spread, 0.004 if in_tray else 0.0)
        model, data = scene.settled(0.0)
    places = data.xpos[1:].copy()
    return scene, model, data, places[np.hypot(places[:, 0], places[:, 1]) < 1.0]


def _drop(scene: Scene, things: list[Thing], spread: FloatArray) -> None:
    rng = scene.rng
    for number, one in enumerate(things):
        place = np.append(rng.uniform(-0.6, 0.6, 2) * spread, 0.03 + 0.05 * number)
        scene.add(one, place, any_turn(rng) if rng.random() < 0.7 else yaw(rng.uniform(0, 6.3)), falls=True)


def _reach_in(scene: Scene, spread: FloatArray) -> None:
    """An arm that reaches over the table from some side."""
    rng = scene.rng
    place = np.append(rng.uniform(-0.8, 0.8, 2) * spread, rng.uniform(0.01, 0.12))
    scene.add(arm(rng), place, yaw(rng.uniform(0, 2 * np.pi)))


def _spread_out(scene: Scene, things: list[Thing], spread: FloatArray, rise: float) -> None:
    """Put things where their footprints are free; some flat ones get something on top."""
    rng, placed = scene.rng, list[tuple[float, float, float]]()
    waiting = list(things)
    while waiting:
        one = waiting.pop()
        lying = one.may_lie and rng.random() < 0.25
        radius = max(one.height / 2, one.radius) if lying else one.radius
        free = _free_place(rng, radius, np.maximum(spread - radius, 0.05), placed)
        if free is None:
            continue
        x, y = free
        placed.append((x, y, radius))
        if lying:
            turn, axis = lie_down(rng), np.zeros(3)
            mujoco.mju_rotVecQuat(axis, np.array([0, 0, 1.0]), turn)
            lowest = _half_depth(one, turn)
            scene.add(one, np.array([x, y, rise + lowest]) - axis * one.height / 2, turn)
            continue
        scene.add(one, np.array([x, y, rise]), yaw(rng.uniform(0, 2 * np.pi)))
        _put_on_top(scene, one, np.array([x, y, rise]), waiting)


def _put_on_top(scene: Scene, one: Thing, place: FloatArray, waiting: list[Thing]) -> None:
    """Food into bowls and onto plates; small things onto boxes, books and cans."""
    rng = scene.rng
    turn = yaw(rng.uniform(0, 2 * np.pi))
    if one.name == "bowl" and rng.random() < 0.35:
        fill = thing("food", moved([food.heap(rng, 0.68 * one.radius)], (0, 0, 0.35 * one.height)))
        scene.add(fill, place, turn)
    elif one.name == "plate" and rng.random() < 0.45:
        kinds = ["meal", "meal", "meal", "cake", "toast", "doughnut", "bread"]
        served = food.FOOD[kinds[int(rng.integers(len(kinds)))]](rng)
        if served.radius < 0.95 * one.radius:
            scene.add(served, place + np.array([0, 0, 0.0045]), turn)
    elif one.flat and waiting and waiting[-1].radius < 0.95 * one.radius and rng.random() < 0.4:
        rise = 0.0045 if one.name == "plate" else one.height + 0.0005
        scene.add(waiting.pop(), place + np.array([0, 0, rise]), turn)


def _free_place(
    rng: np.random.Generator, radius: float, reach: FloatArray, placed: list[tuple[float, float, float]]
) -> tuple[float, float] | None:
    for _ in range(30):
        x, y = rng.uniform(-1, 1, 2) * reach
        if all(np.hypot(x - a, y - b) > (radius + r) * 0.9 for a, b, r in placed):
            return float(x), float(y)
    return None


def _half_depth(one: Thing, turn: FloatArray) -> float:
    """How far a lying thing reaches below its own axis."""
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, turn)
    down = matrix.reshape(3, 3)[2]
    return float(max(-(part.vertices @ down).min() for part in one.parts))
