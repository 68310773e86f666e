# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Things on a table that no class names, from a seed: they are "other" in the ground truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import textures
from shapes import Thing, cuboid, lump, moved, plain, revolved, tapered, thing, tube

Random = np.random.Generator
STEEL = (175, 178, 182)


def ball(rng: Random) -> Thing:
    r = rng.uniform(0.02, 0.045)
    t = np.linspace(-np.pi / 2 + 0.01, np.pi / 2 - 0.01, 16)
    picture = np.tile(np.array(textures.random_colour(rng), np.uint8), (64, 64, 1))
    picture[:, :32] = textures.random_colour(rng)
    picture[28:36] = textures.random_colour(rng)
    return thing("", [revolved([(r * float(np.cos(a)), r + r * float(np.sin(a))) for a in t], picture, 0.4)])


def pen(rng: Random) -> Thing:
    length, r = rng.uniform(0.11, 0.17), rng.uniform(0.003, 0.006)
    x = np.linspace(-length / 2, length / 2, 10)
    girth = np.full(10, r)
    girth[-2:] = 0.6 * r, 0.001
    picture = plain(textures.random_colour(rng))
    return thing("", [tapered(np.stack([x, 0 * x, np.full(10, r)], 1), girth, picture, 0.4)])


def tape(rng: Random) -> Thing:
    r, w, h = rng.uniform(0.02, 0.045), rng.uniform(0.005, 0.012), rng.uniform(0.012, 0.05)
    ring = [(r, 0), (r + w, 0), (r + w, h), (r, h), (r, 0)]
    return thing("", [revolved(ring, plain(textures.random_colour(rng)), 0.4)], solid=False)


def paper(rng: Random) -> Thing:
    size = np.array([rng.uniform(0.05, 0.3), rng.uniform(0.05, 0.42), 0.001])
    page = textures.label_picture(rng) if rng.random() < 0.3 else plain((int(rng.integers(190, 255)),) * 3)
    return thing("", cuboid(size, [page] * 3, 0), solid=False)


def cutlery(rng: Random) -> Thing:
    """A spoon, fork or knife."""
    length = rng.uniform(0.14, 0.2)
    metal = plain(STEEL if rng.random() < 0.8 else textures.random_colour(rng))
    x = np.linspace(-length / 2, 0.2 * length, 8)
    parts = [
        tapered(np.stack([x, 0 * x, np.full(8, 0.005)], 1), np.linspace(0.006, 0.0025, 8), metal, 0.9, 8)
    ]
    kind = rng.integers(3)
    if kind == 0:
        parts += moved(
            [lump(rng, (0.028, 0.018, 0.005), metal, 0, 0.9, 0.1)], (0.2 * length + 0.024, 0, 0.001)
        )
    elif kind == 1:
        for k in (-1.5, -0.5, 0.5, 1.5):
            path = np.array(
                [
                    [0.18 * length, 0.2 * k * 0.004, 0.005],
                    [0.28 * length, k * 0.006, 0.004],
                    [0.5 * length, k * 0.006, 0.008],
                ]
            )
            parts.append(tube(path, 0.0016, metal, 0.9))
    else:
        parts += moved(
            cuboid(np.array([0.45 * length, 0.018, 0.003]), [metal] * 3, 0.9), (0.4 * length, 0, 0.003)
        )
    return thing("", parts, solid=False)


def phone(rng: Random) -> Thing:
    size = np.array([rng.uniform(0.06, 0.08), rng.uniform(0.13, 0.16), 0.008])
    body = cuboid(size, [plain((25, 25, 28))] * 3, 0.7)
    screen = textures.label_picture(rng, 64, 128) if rng.random() < 0.3 else plain((12, 12, 16))
    return thing("", body + moved(cuboid(size * [0.92, 0.94, 0.1], [screen] * 3, 1.0), (0, 0, size[2])))


def cable(rng: Random) -> Thing:
    n = 30
    steps = np.cumsum(rng.normal(0, 0.25, n) + rng.normal(0, 0.1))
    path = np.cumsum(np.stack([np.cos(steps), np.sin(steps), 0 * steps], 1) * rng.uniform(0.006, 0.015), 0)
    path -= path.mean(0)
    path[:, 2] = 0.003
    colour = plain(textures.random_colour(rng) if rng.random() < 0.4 else (25, 25, 25))
    return thing("", [tapered(path, np.full(n, rng.uniform(0.002, 0.004)), colour, 0.3, 8)], solid=False)


def screwdriver(rng: Random) -> Thing:
    handle, blade = rng.uniform(0.08, 0.11), rng.uniform(0.06, 0.13)
    r = rng.uniform(0.011, 0.016)
    x = np.linspace(-handle, 0, 9)
    girth = r * np.array([0.6, 1, 1, 0.95, 0.9, 0.95, 0.8, 0.6, 0.4])
    grip = tapered(np.stack([x, 0 * x, np.full(9, r)], 1), girth, plain(textures.random_colour(rng)), 0.6, 10)
    rod = tube(np.array([[0, 0, r], [blade / 2, 0, r], [blade, 0, r]]), 0.003, plain(STEEL), 0.9)
    return thing("", [grip, rod])


def cloth(rng: Random) -> Thing:
    """A crumpled cloth."""
    picture = textures.glaze_picture(rng)
    size = (rng.uniform(0.05, 0.1), rng.uniform(0.04, 0.09), rng.uniform(0.012, 0.025))
    return thing("", [lump(rng, size, picture, 0.35, 0.05, 0.6)], solid=False)


def plant(rng: Random) -> Thing:
    """A pot plant."""
    r, h = rng.uniform(0.03, 0.05), rng.uniform(0.05, 0.08)
    pot = revolved(
        [(1e-4, 0), (0.75 * r, 0), (r, h), (0.9 * r, h), (0.85 * r, 0.85 * h), (1e-4, 0.85 * h)],
        textures.glaze_picture(rng),
        0.3,
    )
    parts = [pot]
    for _ in range(int(rng.integers(8, 16))):
        angle, reach, tall = rng.uniform(0, 2 * np.pi), rng.uniform(0.03, 0.09), rng.uniform(0.05, 0.14)
        s = np.linspace(0, 1, 7)
        path = np.stack(
            [reach * s**1.5 * np.cos(angle), reach * s**1.5 * np.sin(angle), 0.85 * h + tall * np.sin(s * 2)],
            1,
        )
        leaf = plain((int(rng.integers(30, 80)), int(rng.integers(90, 160)), int(rng.integers(25, 70))))
        parts.append(tapered(path, 0.009 * np.sin(np.pi * (0.1 + 0.88 * s)), leaf, 0.3, 6))
    return thing("", parts, solid=False)


CLUTTER: dict[str, Callable[[Random], Thing]] = {
    "ball": ball,
    "pen": pen,
    "tape": tape,
    "paper": paper,
    "cutlery": cutlery,
    "phone": phone,
    "cable": cable,
    "screwdriver": screwdriver,
    "cloth": cloth,
    "plant": plant,
}
