# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Food: fruit, vegetables, baked goods and meals on plates, from a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import textures
from shapes import Part, Thing, cuboid, lump, moved, plain, revolved, tapered, thing, tube

Random = np.random.Generator
GREEN, STALK = (70, 120, 40), (95, 70, 40)


def _stalk(top: float, height: float, colour: tuple[int, int, int] = STALK) -> Part:
    path = np.array([[0, 0, top], [0.002, 0, top + height / 2], [0.005, 0, top + height]], float)
    return tube(path, 0.0016, plain(colour), 0.1)


def _round_fruit(radius: float, dent: float, tall: float = 1.0) -> list[tuple[float, float]]:
    """Profile of a fruit with a dent at the stalk."""
    angles = np.linspace(-np.pi / 2 + 0.02, np.pi / 2 - 0.02, 18)
    rise = radius * tall
    profile = [(radius * float(np.cos(a)), rise + rise * float(np.sin(a))) for a in angles]
    lowered = [
        (r, z - dent * radius * np.exp(-((r / (0.35 * radius)) ** 2)) * (z > rise)) for r, z in profile
    ]
    return [(max(r, 1e-4), float(z)) for r, z in lowered]


def apple(rng: Random) -> Thing:
    r = rng.uniform(0.031, 0.042)
    hues = [
        [(190, 25, 30), (215, 70, 40), (225, 190, 90)],
        [(120, 165, 50), (165, 190, 80)],
        [(215, 180, 60), (205, 70, 40)],
    ]
    picture = textures.mixed_picture(rng, hues[int(rng.integers(3))], 4)
    return thing("food", [revolved(_round_fruit(r, 0.35, 0.92), picture, 0.6), _stalk(1.6 * r, 0.014)])


def orange(rng: Random) -> Thing:
    r = rng.uniform(0.03, 0.043)
    picture = textures.mixed_picture(rng, [(238, 130, 20), (250, 155, 40), (232, 120, 15)], 24)
    return thing("food", [revolved(_round_fruit(r, 0.1), picture, 0.4), _stalk(1.88 * r, 0.002, GREEN)])


def tomato(rng: Random) -> Thing:
    r = rng.uniform(0.02, 0.038)
    picture = textures.mixed_picture(rng, [(200, 30, 20), (225, 55, 30)], 3)
    leaf = [
        tube(
            np.array([[0, 0, 1.55 * r], [0.5 * r, 0, 1.66 * r], [0.8 * r, 0, 1.45 * r]], float),
            0.0018,
            plain(GREEN),
            0.1,
        )
    ]
    leaves = [part for k in range(5) for part in _turned(leaf, 2 * np.pi * k / 5)]
    return thing("food", [revolved(_round_fruit(r, 0.2, 0.85), picture, 0.8), *leaves])


def _turned(parts: list[Part], angle: float) -> list[Part]:
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    return [replace(part, vertices=part.vertices @ turn) for part in parts]


def lemon(rng: Random) -> Thing:
    r = rng.uniform(0.024, 0.03)
    picture = textures.mixed_picture(rng, [(240, 205, 40), (248, 222, 80)], 20)
    t = np.linspace(-1, 1, 22)
    path = np.stack([1.45 * r * t, 0 * t, np.full(22, r)], 1)
    girth = r * (np.sqrt(np.clip(1 - (0.92 * t) ** 2, 0, 1)) * 0.98 + 0.04)
    girth[[0, -1]] = 0.001
    return thing("food", [tapered(path, girth, picture, 0.5)])


def banana(rng: Random) -> Thing:
    length, r, n = rng.uniform(0.13, 0.19), rng.uniform(0.014, 0.018), 20
    bend = rng.uniform(0.7, 1.3)
    angles = np.linspace(-bend, bend, n)
    reach = length / (2 * bend)
    path = np.stack([reach * np.sin(angles), reach * (np.cos(angles) - 1), np.full(n, r)], 1)
    t = np.linspace(-1, 1, n)
    girth = r * np.clip(1.05 - t**6, 0.3, 1)
    picture = textures.mixed_picture(rng, [(238, 200, 50), (246, 214, 80), (225, 190, 60)], 4)
    picture[:7], picture[-7:] = (95, 80, 40), (110, 105, 45)
    return thing("food", [tapered(path, girth, picture, 0.3, 8)])


def carrot(rng: Random) -> Thing:
    length, r = rng.uniform(0.11, 0.2), rng.uniform(0.011, 0.018)
    x = np.linspace(-length / 2, length / 2, 14)
    girth = r * np.linspace(1, 0.15, 14) ** 0.7
    picture = textures.mixed_picture(rng, [(225, 105, 20), (240, 130, 40)], 16)
    body = tapered(np.stack([x, 0 * x, np.full(14, r)], 1), girth, picture, 0.3)
    green = [
        tube(
            np.array([[x[0], 0, r], [x[0] - 0.02, 0, r + 0.004 * k], [x[0] - 0.045, 0, r + 0.008 * k]]),
            0.002,
            plain(GREEN),
            0.1,
        )
        for k in range(3)
    ]
    return thing("food", [body, *green])


def cucumber(rng: Random) -> Thing:
    length, r = rng.uniform(0.13, 0.24), rng.uniform(0.015, 0.023)
    t = np.linspace(-1, 1, 16)
    path = np.stack([t * length / 2, 0.03 * length * t**2, np.full(16, r)], 1)
    picture = textures.mixed_picture(rng, [(35, 80, 30), (70, 120, 50), (45, 95, 35)], 12)
    return thing("food", [tapered(path, r * np.clip(1.05 - t**8, 0.25, 1), picture, 0.6)])


def bread(rng: Random) -> Thing:
    picture = textures.mixed_picture(rng, [(150, 90, 40), (205, 145, 80), (175, 110, 55)], 5)
    size = (rng.uniform(0.07, 0.14), rng.uniform(0.035, 0.055), rng.uniform(0.025, 0.04))
    return thing("food", [lump(rng, size, picture, 0.04, 0.15, 0.4)])


def toast(rng: Random) -> Thing:
    size = np.array([rng.uniform(0.09, 0.12), rng.uniform(0.09, 0.12), rng.uniform(0.011, 0.018)])
    crumb = textures.mixed_picture(rng, [(232, 205, 150), (215, 175, 110)], 14)
    crust = textures.mixed_picture(rng, [(165, 105, 50), (190, 130, 70)], 8)
    layers = cuboid(size, [crust, crust, crumb], 0.05)
    if rng.random() < 0.5:  # a sandwich
        inside = textures.crumb_picture(rng, (200, 190, 90), [(90, 150, 50), (205, 60, 40), (240, 220, 160)])
        filling = cuboid(size * [1.02, 1.02, 1.1], [inside] * 3, 0.2)
        layers += moved(filling, (0, 0, size[2])) + moved(
            cuboid(size, [crust, crust, crumb], 0.05), (0, 0, 2.1 * size[2])
        )
    return thing("food", layers)


def burger(rng: Random) -> Thing:
    r = rng.uniform(0.04, 0.055)
    bun = textures.mixed_picture(rng, [(190, 120, 55), (215, 150, 80)], 6)
    lower = revolved(
        [(1e-4, 0), (0.9 * r, 0), (r, 0.2 * r), (0.98 * r, 0.35 * r), (1e-4, 0.35 * r)], bun, 0.2
    )
    meat = revolved(
        [(1e-4, 0.34 * r), (1.02 * r, 0.36 * r), (1.04 * r, 0.55 * r), (1e-4, 0.56 * r)],
        textures.mixed_picture(rng, [(80, 45, 25), (110, 65, 40)], 10),
        0.2,
    )
    leaf = revolved(
        [(1e-4, 0.55 * r), (1.12 * r, 0.56 * r), (1.1 * r, 0.62 * r), (1e-4, 0.63 * r)],
        textures.mixed_picture(rng, [(90, 150, 50), (140, 185, 80)], 8),
        0.3,
    )
    dome = [
        (r * float(np.cos(a)), r * (0.62 + 0.6 * float(np.sin(a))))
        for a in np.linspace(0, np.pi / 2 - 0.02, 10)
    ]
    return thing("food", [lower, meat, leaf, revolved(dome, bun, 0.4)])


def doughnut(rng: Random) -> Thing:
    r, w = rng.uniform(0.028, 0.036), rng.uniform(0.014, 0.02)
    dough = textures.mixed_picture(rng, [(190, 125, 60), (215, 155, 85)], 6)
    icing = [(90, 50, 30), (240, 150, 180), (245, 240, 230), (235, 190, 110)][int(rng.integers(4))]
    crumbs = [(230, 60, 60), (70, 120, 220), (250, 220, 80), (255, 255, 255)]
    glaze = textures.crumb_picture(rng, icing, crumbs if rng.random() < 0.6 else [icing])
    ring = [(r + w * float(np.cos(a)), w + w * float(np.sin(a))) for a in np.linspace(0, 2 * np.pi, 18)]
    top = [
        (r + 1.06 * w * float(np.cos(a)), w + 1.06 * w * float(np.sin(a)))
        for a in np.linspace(0.25, np.pi - 0.25, 10)
    ]
    return thing("food", [revolved(ring, dough, 0.2), revolved(top, glaze, 0.6)])


def pizza(rng: Random) -> Thing:
    r = rng.uniform(0.08, 0.13)
    top = textures.crumb_picture(
        rng, (225, 175, 80), [(190, 40, 25), (240, 220, 160), (70, 110, 40), (140, 60, 40)], 256
    )
    crust = textures.mixed_picture(rng, [(190, 130, 65), (150, 90, 40)], 12)
    rim = [(1e-4, 0.0), (r, 0.002), (1.03 * r, 0.012), (0.97 * r, 0.018), (0.93 * r, 0.012)]
    return thing("food", [revolved(rim, crust, 0.1), _disc(0.95 * r, 0.0135, top)])


def _disc(r: float, z: float, picture: textures.Picture) -> Part:
    """A flat disc with the picture seen from above, not wound around."""
    part = revolved([(r, z), (0.66 * r, z + 0.001), (0.33 * r, z + 0.001), (1e-4, z + 0.001)], picture, 0.2)
    return replace(part, uv=0.5 + part.vertices[:, :2] / (2 * r))


def cake(rng: Random) -> Thing:
    size = np.array([rng.uniform(0.05, 0.09), rng.uniform(0.05, 0.1), rng.uniform(0.035, 0.06)])
    dough = [(120, 70, 40), (235, 210, 150), (200, 150, 90)][int(rng.integers(3))]
    cream = [(250, 245, 235), (80, 45, 30), (240, 170, 190)][int(rng.integers(3))]
    side = textures.mixed_picture(rng, [dough, tuple(int(0.85 * c) for c in dough)], 20)
    side[40:52] = side[84:96] = cream
    lid = textures.crumb_picture(rng, cream, [cream, (200, 40, 40)])
    return thing("food", cuboid(size, [side, side, lid], 0.2))


def egg(rng: Random) -> Thing:
    r = rng.uniform(0.02, 0.025)
    shell = [(240, 225, 205), (205, 150, 110)][int(rng.integers(2))]
    return thing("food", [lump(rng, (1.3 * r, r, r), plain(shell), 0.0, 0.3, 0.05)])


def heap(rng: Random, radius: float) -> Part:
    """A helping of rice, pasta, salad, stew or meat; it lies on a plate or in a bowl."""
    kinds = [
        ((238, 230, 210), [(250, 245, 235), (220, 205, 170)]),
        ((215, 160, 70), [(230, 185, 95), (190, 60, 35), (240, 215, 130)]),
        ((80, 130, 45), [(130, 175, 70), (205, 50, 40), (235, 225, 150), (60, 100, 40)]),
        ((120, 65, 35), [(150, 90, 50), (90, 50, 30), (215, 120, 40)]),
        ((200, 165, 60), [(235, 200, 90), (225, 225, 190)]),
    ]
    ground, crumbs = kinds[int(rng.integers(len(kinds)))]
    height = radius * rng.uniform(0.25, 0.55)
    return lump(
        rng,
        (radius, radius * rng.uniform(0.6, 1), height),
        textures.crumb_picture(rng, ground, crumbs),
        0.12,
        0.25,
        0.8,
    )


def meal(rng: Random) -> Thing:
    """One to three helpings beside each other."""
    parts = []
    for k in range(int(rng.integers(1, 4))):
        angle, away = 2.1 * k, 0.035 if k else 0.012
        parts += moved(
            [heap(rng, rng.uniform(0.025, 0.045))], (away * np.cos(angle), away * np.sin(angle), 0)
        )
    return thing("food", parts)


FOOD: dict[str, Callable[[Random], Thing]] = {
    "apple": apple,
    "orange": orange,
    "tomato": tomato,
    "lemon": lemon,
    "banana": banana,
    "carrot": carrot,
    "cucumber": cucumber,
    "bread": bread,
    "toast": toast,
    "burger": burger,
    "doughnut": doughnut,
    "pizza": pizza,
    "cake": cake,
    "egg": egg,
    "meal": meal,
}
