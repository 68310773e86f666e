# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Cups, bowls and plates as meshes with textures, from a seed."""

from __future__ import annotations

import numpy as np
import textures
from shapes import Thing, hollow, plain, revolved, thing, tube


def cup(rng: np.random.Generator) -> Thing:
    r, taper = rng.uniform(0.032, 0.05), rng.uniform(0.65, 1.02)
    h = r * rng.uniform(1.6, 3.0)
    wall, bulge = 0.003, rng.uniform(-0.03, 0.08)
    outer = [(r * (taper + (1 - taper) * t + bulge * np.sin(np.pi * t)), h * t) for t in np.linspace(0, 1, 8)]
    picture, shine = textures.glaze_picture(rng), rng.uniform(0.1, 0.9)
    if rng.random() < 0.3:
        picture = textures.label_picture(rng)
    parts = [revolved(hollow(outer, wall), picture, shine)]
    if rng.random() < 0.75:
        t = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 14)
        reach, tall = r * rng.uniform(0.5, 0.8), h * rng.uniform(0.25, 0.36)
        start = r * (taper + (1 - taper) * 0.5) - wall
        path = np.stack([start + reach * np.cos(t), 0 * t, h * 0.52 + tall * np.sin(t)], 1)
        parts.append(tube(path, rng.uniform(0.0035, 0.007), picture[:4, :4], shine))
    return Thing("cup", parts, r * 1.3, h, may_lie=rng.random() < 0.3, solid=False)


def tea_cup(rng: np.random.Generator) -> Thing:
    """A low cup on a saucer, or a tumbler of glass."""
    r = rng.uniform(0.036, 0.045)
    if rng.random() < 0.4:
        outer = [(0.8 * r, 0.0), (r, 2.4 * r)]
        tint = (*rng.uniform(0.8, 1.0, 3), 0.4)
        return thing("cup", [revolved(hollow(outer, 0.003), plain((225, 235, 240)), 1.0, tint)], solid=False)
    outer = [(0.5 * r, 0.0), (0.8 * r, 0.35 * r), (r, 1.3 * r)]
    glaze = textures.glaze_picture(rng)
    drink = revolved(
        [(0.9 * r, 1.05 * r), (1e-4, 1.06 * r)],
        plain([(60, 30, 15), (190, 110, 40), (245, 240, 230)][int(rng.integers(3))]),
        0.6,
    )
    t = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 12)
    path = np.stack([0.85 * r + 0.55 * r * np.cos(t), 0 * t, 0.75 * r + 0.4 * r * np.sin(t)], 1)
    parts = [revolved(hollow(outer, 0.003), glaze, 0.6), drink, tube(path, 0.004, glaze[:4, :4], 0.6)]
    return thing("cup", parts, solid=False)


def bowl(rng: np.random.Generator) -> Thing:
    r = rng.uniform(0.05, 0.1)
    h, foot, power = r * rng.uniform(0.5, 0.95), rng.uniform(0.35, 0.6), rng.uniform(0.35, 0.8)
    outer = [(r * (foot + (1 - foot) * t**power), h * t) for t in np.linspace(0, 1, 10)]
    parts = [revolved(hollow(outer, 0.004), textures.glaze_picture(rng), rng.uniform(0.1, 0.9))]
    return Thing("bowl", parts, r, h, solid=False)


def plate(rng: np.random.Generator) -> Thing:
    r, h = rng.uniform(0.07, 0.13), rng.uniform(0.01, 0.025)
    inner = rng.uniform(0.55, 0.75)
    outer = [(r * inner, 0.0), (r * (inner + 0.08), 0.3 * h), (r, h)]
    return Thing(
        "plate",
        [revolved(hollow(outer, 0.003), textures.glaze_picture(rng), rng.uniform(0.1, 0.9))],
        r,
        h,
        flat=True,
        solid=False,
    )
