# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""All kinds of objects by class, and those that training never shows; books and blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import textures
from clutter import CLUTTER
from containers import bottle, box, can, glass_jug, milk_carton, squeeze_bottle, tin
from crockery import bowl, cup, plate, tea_cup
from food import FOOD
from hard_kinds import HARD
from scans import SCANS, scan
from shapes import Part, Thing, cuboid, moved, plain, revolved, thing


def book(rng: np.random.Generator) -> Thing:
    width = rng.uniform(0.1, 0.18)
    size = np.array([width, width * rng.uniform(1.25, 1.55), rng.uniform(0.012, 0.045)])
    cover = textures.label_picture(rng, 192, 256)
    lines = np.repeat(rng.integers(170, 250, (64, 1, 1)), 3, 2) * np.array([1, 0.97, 0.88])
    pages = np.broadcast_to(lines, (64, 64, 3)).astype(np.uint8)
    paper = cuboid(size * [0.97, 0.96, 0.86] + [0, 0, 0], [pages] * 3, 0.0)
    paper = [replace(part, vertices=part.vertices + np.array([0, 0, 0.07 * size[2]])) for part in paper]
    board = np.array([size[0], size[1], 0.07 * size[2]])
    lids = cuboid(board, [cover[:4], cover[:4], cover], 0.2)
    lids += [replace(part, vertices=part.vertices + np.array([0, 0, 0.93 * size[2]])) for part in lids]
    spine = cuboid(
        np.array([0.03 * size[0], size[1], size[2]]), [textures.label_picture(rng, 256, 40)] * 3, 0.2
    )
    spine = [replace(part, vertices=part.vertices - [0.485 * size[0], 0, 0]) for part in spine]
    return Thing("book", paper + lids + spine, float(np.hypot(*size[:2]) / 2), float(size[2]), flat=True)


def block(rng: np.random.Generator) -> Thing:
    edge = rng.uniform(0.022, 0.045)
    colour = textures.random_colour(rng) if rng.random() < 0.75 else (205, 170, 120)
    picture, shine = plain(colour), rng.uniform(0, 0.5)
    if rng.random() < 0.2:
        r, h = edge * 0.55, edge * rng.uniform(0.8, 1.8)
        profile = [(1e-4, 0.0), (r, 0.0), (r, h), (1e-4, h)]
        return Thing("block", [revolved(profile, picture, shine)], r, h, flat=True)
    size = edge * (rng.uniform(0.6, 2.2, 3) if rng.random() < 0.5 else np.ones(3))
    return Thing(
        "block", cuboid(size, [picture] * 3, shine), float(np.hypot(*size[:2]) / 2), float(size[2]), flat=True
    )


def toy_brick(rng: np.random.Generator) -> Thing:
    """A brick with studs."""
    pitch = rng.uniform(0.012, 0.02)
    across, along = int(rng.integers(1, 3)), int(rng.integers(2, 5))
    height = pitch * rng.uniform(0.8, 1.3)
    colour = plain(
        [(200, 30, 30), (30, 70, 180), (240, 200, 30), (40, 140, 60), (240, 240, 240), (30, 30, 30)][
            int(rng.integers(6))
        ]
    )
    parts = cuboid(np.array([along * pitch, across * pitch, height]), [colour] * 3, 0.6)
    stud = revolved([(0.3 * pitch, 0), (0.3 * pitch, 0.2 * pitch), (1e-4, 0.2 * pitch)], colour, 0.6)
    for i in range(along):
        for j in range(across):
            offset = ((i - (along - 1) / 2) * pitch, (j - (across - 1) / 2) * pitch, height)
            parts += moved([stud], offset)
    return thing("block", parts, flat=False)


def wedge(rng: np.random.Generator) -> Thing:
    """A wooden roof block: a triangular prism."""
    w, d, h = rng.uniform(0.035, 0.06), rng.uniform(0.025, 0.05), rng.uniform(0.02, 0.04)
    corners = [(-w, -d, 0), (w, -d, 0), (0, -d, 2 * h), (-w, d, 0), (w, d, 0), (0, d, 2 * h)]
    faces = [(0, 1, 2), (3, 5, 4), (0, 2, 5), (0, 5, 3), (1, 4, 5), (1, 5, 2), (0, 3, 4), (0, 4, 1)]
    vertices = np.array([corners[i] for face in faces for i in face], float) / 2
    colour = plain(textures.random_colour(rng))
    part = Part(vertices, np.arange(24).reshape(8, 3), np.full((24, 2), 0.5), colour, shine=0.3)
    return thing("block", [part])


def scanned(name: str) -> Callable[[np.random.Generator], Thing]:
    return lambda rng: scan(rng, name)


# Every kind by class; "" is clutter, which no class names.
KINDS: dict[str, dict[str, Callable[[np.random.Generator], Thing]]] = {
    "bottle": {"bottle": bottle, "squeeze_bottle": squeeze_bottle, "glass_jug": glass_jug},
    "cup": {"cup": cup, "tea_cup": tea_cup},
    "bowl": {"bowl": bowl},
    "plate": {"plate": plate},
    "can": {"can": can, "tin": tin},
    "box": {"box": box, "milk_carton": milk_carton},
    "book": {"book": book},
    "block": {"block": block, "toy_brick": toy_brick, "wedge": wedge},
    "food": dict(FOOD),
    "": dict(CLUTTER),
}
for _name, _facts in SCANS.items():
    KINDS[_facts.category][_name] = scanned(_name)
# Clutter to the embedded model; the classes of the example in docs/fine_tuning.md.
OWN = {"frying pan": ("chefmate_8_frypan",), "basket": ("basket", "red_basket")}
# Never in a training render.
HELD_OUT = ("white_bowl", "milk_carton", "squeeze_bottle", "wedge", "lemon", "burger")
HARD_CHANCE = 0.15  # of an object in a training render


def random_thing(rng: np.random.Generator, held_out: bool = False, without: Sequence[str] = ()) -> Thing:
    """Any object; with `held_out`, four in ten are of the kinds that training never shows.

    without: kinds that are left out.
    """
    wanted = held_out and rng.random() < 0.4
    by_class = {
        category: [name for name in kinds if (name in HELD_OUT) == wanted and name not in without]
        for category, kinds in KINDS.items()
    }
    category = str(rng.choice([category for category, names in by_class.items() if names]))
    return KINDS[category][str(rng.choice(by_class[category]))](rng)


def with_hard_kinds(rng: np.random.Generator, things: Sequence[Thing]) -> list[Thing]:
    """Replace some objects by kinds that the model confused."""
    return [HARD[int(rng.integers(len(HARD)))](rng) if rng.random() < HARD_CHANCE else one for one in things]


def things_with_own(rng: np.random.Generator) -> list[Thing]:
    """Three to eight other things and, last, one or two of the classes in OWN."""
    own_kinds = [kind for kinds in OWN.values() for kind in kinds]
    things = [random_thing(rng, without=own_kinds) for _ in range(int(rng.integers(3, 9)))]
    for name in rng.permutation(list(OWN))[: int(rng.integers(1, 3))]:
        made = KINDS[""][str(rng.choice(OWN[str(name)]))](rng)
        things.append(replace(made, name=str(name)))
    return things
