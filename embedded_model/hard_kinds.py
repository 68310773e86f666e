# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Objects that the model confused, for training renders alone: full cups, plain white crockery, arms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import textures
from crockery import bowl, cup, plate
from shapes import Part, Thing, lump, plain, revolved, tapered

DRINKS = ((60, 30, 15), (30, 18, 12), (190, 110, 40), (245, 240, 230), (200, 60, 40), (210, 220, 225))
SKIN = ((244, 208, 177), (224, 172, 134), (198, 134, 92), (150, 98, 66), (104, 66, 44), (66, 42, 30))


def full_cup(rng: np.random.Generator) -> Thing:
    """A cup with a drink in it, which a camera above sees as a disc within a ring."""
    empty = cup(rng)
    level = empty.height * rng.uniform(0.55, 0.92)
    wall = empty.parts[0].vertices
    near = np.abs(wall[:, 2] - level) < 0.1 * empty.height
    radius = float(np.hypot(wall[near, 0], wall[near, 1]).min()) - 5e-4
    colour = DRINKS[int(rng.integers(len(DRINKS)))]
    drink = revolved([(radius, level), (1e-4, level + 1e-4)], plain(colour), 0.6)
    return replace(empty, parts=[*empty.parts, drink], may_lie=False)


def plain_crockery(
    kind: Callable[[np.random.Generator], Thing],
) -> Callable[[np.random.Generator], Thing]:
    """Return a kind of one light colour, so that only its shape says which class it is."""

    def make(rng: np.random.Generator) -> Thing:
        made = kind(rng)
        glaze = plain(tuple(int(v) for v in np.clip(rng.uniform(190, 250) + rng.normal(0, 6, 3), 0, 255)))
        return replace(made, parts=[replace(part, picture=glaze) for part in made.parts])

    return make


HARD: tuple[Callable[[np.random.Generator], Thing], ...] = (
    full_cup,
    full_cup,
    plain_crockery(cup),
    plain_crockery(bowl),
    plain_crockery(plate),
)


def arm(rng: np.random.Generator) -> Thing:
    """A forearm and a hand, of the class person: the hand at the origin, the elbow along x and up."""
    tone = np.array(SKIN[int(rng.integers(len(SKIN)))], float) * rng.uniform(0.85, 1.1)
    skin = textures.mixed_picture(rng, [tuple(int(v) for v in tone), tuple(int(0.88 * v) for v in tone)], 3)
    size, shine = rng.uniform(0.85, 1.15), float(rng.uniform(0, 0.25))
    palm = lump(rng, (0.048, 0.042, 0.017), skin, 0.03, shine)
    parts = [palm, *_fingers(rng, skin, shine), *_forearm(rng, skin, shine)]
    parts = [replace(part, vertices=part.vertices * size) for part in parts]
    return Thing("person", parts, 0.08 * size, 0.06 * size, solid=False)


def _fingers(rng: np.random.Generator, skin: textures.Picture, shine: float) -> list[Part]:
    """Four fingers and a thumb that bend down by a common amount, from flat to a grip."""
    bend, spread = rng.uniform(0.0, 0.05), rng.uniform(0.0, 0.35)
    fingers = []
    for number, long in enumerate((0.062, 0.074, 0.07, 0.054)):
        y = 0.022 * (number - 1.5)
        t = np.linspace(0, 1, 6)
        path = np.stack(
            [-0.04 - long * t, y + spread * long * t * (number - 1.5) / 1.5, 0.018 - bend * t**2], 1
        )
        fingers.append(tapered(path, np.linspace(0.0095, 0.0065, 6), skin, shine))
    t = np.linspace(0, 1, 6)
    side = 1.0 if rng.random() < 0.5 else -1.0
    thumb = np.stack([0.02 - 0.055 * t, side * (0.035 + 0.03 * t), 0.014 - bend * t**2], 1)
    return [*fingers, tapered(thumb, np.linspace(0.012, 0.008, 6), skin, shine)]


def _forearm(rng: np.random.Generator, skin: textures.Picture, shine: float) -> list[Part]:
    """A forearm of 65 cm, which leaves most tables; six in ten have a sleeve down to the wrist or higher."""
    rise, t = rng.uniform(0.05, 0.3), np.linspace(0, 1, 8)
    path = np.stack([0.03 + 0.65 * t, 0 * t, 0.018 + rise * t], 1)
    radii = np.interp(t, [0, 0.2, 0.7, 1], [0.027, 0.029, 0.042, 0.046])
    parts = [tapered(path, radii, skin, shine)]
    if rng.random() < 0.6:
        bare = int(rng.integers(0, 5))
        cloth = textures.muted(rng, textures.surface_picture(rng, 64)) if rng.random() < 0.4 else None
        picture = plain(textures.random_colour(rng)) if cloth is None else cloth
        parts.append(tapered(path[bare:], radii[bare:] + rng.uniform(0.004, 0.02), picture, 0.0))
    return parts
