# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Bottles, cans and boxes as meshes with textures, from a seed."""

from __future__ import annotations

import numpy as np
import textures
from shapes import Part, Thing, cuboid, moved, plain, revolved, scaled, thing


def bottle(rng: np.random.Generator) -> Thing:
    r = rng.uniform(0.024, 0.05)
    h = r * rng.uniform(4.0, 7.5)
    neck_r, neck_z = r * rng.uniform(0.25, 0.5), h * rng.uniform(0.62, 0.85)
    shoulder = h * rng.uniform(0.45, 0.98 * neck_z / h)
    waist = rng.uniform(0.85, 1.02)
    steps = np.linspace(0, 1, 7)
    curve = steps ** rng.uniform(0.6, 2.0)
    profile = [(1e-4, 0.0), (0.9 * r, 0.0), (r, 0.05 * h), (r * waist, 0.5 * shoulder), (r, shoulder)]
    profile += [
        (r + (neck_r - r) * float(c), shoulder + (neck_z - shoulder) * float(s))
        for s, c in zip(steps[1:], curve[1:], strict=True)
    ]
    profile += [(neck_r, 0.93 * h)]
    alpha = 1.0 if rng.random() < 0.75 else rng.uniform(0.45, 0.8)
    shine = rng.uniform(0.2, 1.0)
    parts = [revolved(profile, textures.glaze_picture(rng), shine, (1, 1, 1, alpha))]
    if rng.random() < 0.75:
        low, high = sorted(rng.uniform(0.1, 0.95, 2) * shoulder)
        ring = [(1.015 * r, low), (1.015 * r, max(high, low + 0.2 * shoulder))]
        parts.append(revolved(ring, textures.label_picture(rng), 0.3))
    cap = 1.12 * neck_r if rng.random() < 0.8 else 1.5 * neck_r
    top = [(cap, 0.9 * h), (cap, 0.995 * h), (0.9 * cap, h), (1e-4, h)]
    parts.append(revolved(top, plain(textures.random_colour(rng)), 0.4))
    return Thing("bottle", parts, r, h, may_lie=True)


def squeeze_bottle(rng: np.random.Generator) -> Thing:
    """Ketchup, detergent, shampoo: oval, wide at the shoulder, with a spout."""
    r, h = rng.uniform(0.028, 0.042), rng.uniform(0.12, 0.2)
    body = [(1e-4, 0.0), (0.8 * r, 0.0), (0.9 * r, 0.05 * h), (r, 0.35 * h), (1.02 * r, 0.6 * h)]
    body += [(0.8 * r, 0.75 * h), (0.4 * r, 0.82 * h), (1e-4, 0.82 * h)]
    colour = plain(textures.random_colour(rng))
    label = [(1.01 * r, 0.2 * h), (1.05 * r, 0.6 * h)]
    cap = [(0.42 * r, 0.8 * h), (0.4 * r, 0.88 * h), (0.16 * r, 0.92 * h), (0.1 * r, h), (1e-4, h)]
    parts = scaled(
        [revolved(body, colour, 0.5), revolved(label, textures.label_picture(rng), 0.4)],
        (1, rng.uniform(0.6, 0.85), 1),
    )
    parts.append(revolved(cap, plain(textures.random_colour(rng)), 0.4))
    return thing("bottle", parts, may_lie=True)


def glass_jug(rng: np.random.Generator) -> Thing:
    """A bottle of clear glass or plastic with something to drink in it."""
    r, h = rng.uniform(0.03, 0.045), rng.uniform(0.18, 0.28)
    fill = rng.uniform(0.3, 0.62)
    glass = [
        (1e-4, 0),
        (0.95 * r, 0),
        (r, 0.04 * h),
        (r, 0.62 * h),
        (0.4 * r, 0.82 * h),
        (0.36 * r, 0.97 * h),
    ]
    inner = [(1e-4, 0.004), (0.9 * r, 0.004), (0.93 * r, 0.05 * h), (0.93 * r, fill * h), (1e-4, fill * h)]
    drink = [(200, 215, 220), (190, 90, 20), (60, 25, 15), (230, 200, 60), (90, 140, 50)][
        int(rng.integers(5))
    ]
    tint = tuple(rng.uniform(0.75, 1.0, 3))
    parts = [
        revolved(inner, plain(drink), 0.3, (1, 1, 1, 0.75)),
        revolved(
            [(0.42 * r, 0.92 * h), (0.42 * r, 0.99 * h), (1e-4, h)], plain(textures.random_colour(rng)), 0.4
        ),
        revolved([(1.01 * r, 0.25 * h), (1.01 * r, 0.5 * h)], textures.label_picture(rng), 0.3),
        revolved(glass, plain((225, 235, 235)), 1.0, (*tint, 0.35)),
    ]
    return thing("bottle", parts, may_lie=True)


def can(rng: np.random.Generator) -> Thing:
    r = rng.uniform(0.026, 0.045)
    h = r * rng.uniform(1.4, 4.2) if rng.random() < 0.8 else r * rng.uniform(0.7, 1.3)
    metal = plain((int(rng.integers(150, 225)),) * 3)
    wall = [(0.9 * r, 0.0), (r, 0.06 * r), (r, h - 0.1 * r), (0.92 * r, h)]
    side = revolved(wall, textures.label_picture(rng), rng.uniform(0.2, 0.9))
    top = revolved([(0.92 * r, h), (0.88 * r, h - 0.08 * r), (1e-4, h - 0.08 * r)], metal, 0.8)
    base = revolved([(1e-4, 0.001), (0.9 * r, 0.0)], metal, 0.8)
    return Thing("can", [side, top, base], r, h, flat=r > 0.03, may_lie=True)


def tin(rng: np.random.Generator) -> Thing:
    """A low can, as of fish, with a ring to pull."""
    r, h = rng.uniform(0.035, 0.05), rng.uniform(0.025, 0.045)
    wall = [(0.98 * r, 0.0), (r, 0.002), (r, h - 0.002), (0.97 * r, h)]
    metal = plain((int(rng.integers(170, 225)),) * 3)
    lid = revolved([(0.97 * r, h), (0.93 * r, h - 0.003), (1e-4, h - 0.003)], metal, 0.9)
    ring = [
        (0.3 * r + 0.003 * float(np.cos(a)), h + 0.003 * float(np.sin(a)))
        for a in np.linspace(0, 2 * np.pi, 9)
    ]
    parts = [
        revolved(wall, textures.label_picture(rng), 0.5),
        lid,
        *moved([revolved(ring, metal, 0.9)], (0.4 * r, 0, 0)),
    ]
    return thing("can", parts, flat=True)


def box(rng: np.random.Generator) -> Thing:
    size = np.sort(rng.uniform([0.04, 0.05, 0.08], [0.08, 0.14, 0.22]))
    if rng.random() < 0.25:
        shade = rng.uniform(0.6, 1.0)
        cardboard = textures.surface_picture(np.random.default_rng(7), 64) * 0 + (
            np.array([190, 150, 105]) * shade
        )
        pictures = [cardboard.astype(np.uint8)] * 3
        size = rng.uniform(0.08, 0.2, 3)
    else:
        front = textures.label_picture(rng, 160, 224)
        pictures = [front, textures.label_picture(rng, 128, 160) if rng.random() < 0.5 else front, front[:60]]
    size = size[rng.permutation(3)]
    return Thing(
        "box",
        cuboid(size, pictures, rng.uniform(0, 0.4)),
        float(np.hypot(*size[:2]) / 2),
        float(size[2]),
        flat=True,
    )


def milk_carton(rng: np.random.Generator) -> Thing:
    """A box with a gable top."""
    edge, h = rng.uniform(0.06, 0.08), rng.uniform(0.13, 0.19)
    front = textures.label_picture(rng, 160, 224)
    parts = cuboid(np.array([edge, edge, h]), [front, front, plain((235, 235, 235))], 0.3)
    e, top = edge / 2, h + 0.5 * edge
    corners = [(-e, -e, h), (e, -e, h), (e, e, h), (-e, e, h), (-e, 0, top), (e, 0, top)]
    faces = [(0, 1, 5), (0, 5, 4), (2, 3, 4), (2, 4, 5), (1, 2, 5), (3, 0, 4)]
    uv = [(0, 1), (1, 1), (1, 1), (0, 1), (0, 0), (1, 0)]
    roof = plain(tuple(int(v) for v in front[:20].mean((0, 1))))
    parts.append(Part(np.array(corners), np.array(faces), np.array(uv, float), roof, shine=0.3))
    parts += moved(cuboid(np.array([edge, 0.003, 0.02]), [roof] * 3, 0.3), (0, 0, top - 0.002))
    return thing("box", parts, may_lie=True)
