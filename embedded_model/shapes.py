# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Meshes with textures: turned, extruded and lumpy shapes that objects are put together from.

Lengths are metres; objects stand on z = 0 around the z axis.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import textures
from numpy.typing import NDArray

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
    that other things may stand on, `solid` without a hollow, so that its hull may collide."""

    name: str
    parts: list[Part] = field(repr=False)
    radius: float
    height: float
    flat: bool = False
    may_lie: bool = False
    solid: bool = True


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
    faces = np.concatenate([np.stack([a, a + 14, a + 1], 1), np.stack([a, a + 13, a + 14], 1)])
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


def hollow(outer: list[tuple[float, float]], wall: float) -> list[tuple[float, float]]:
    """Close an outer profile (bottom to rim) by the inner wall, down to the middle of the bottom."""
    inner = [(max(r - wall, 1e-4), z + (wall if i == 0 else 0)) for i, (r, z) in enumerate(outer)]
    return [(1e-4, 0.0), *outer, *reversed(inner), (1e-4, outer[0][1] + wall)]


def moved(parts: list[Part], offset: tuple[float, float, float] | FloatArray) -> list[Part]:
    return [replace(part, vertices=part.vertices + np.asarray(offset, float)) for part in parts]


def scaled(parts: list[Part], factors: tuple[float, float, float]) -> list[Part]:
    return [replace(part, vertices=part.vertices * np.asarray(factors)) for part in parts]


def lump(
    rng: np.random.Generator,
    radii: tuple[float, float, float],
    picture: textures.Picture,
    bumps: float = 0.0,
    shine: float = 0.2,
    flatness: float = 0.15,
) -> Part:
    """An ellipsoid with a flattened foot; `bumps` is how far its surface wanders, relative to the radii."""
    rows, columns = 18, 28
    polar = np.linspace(0.02, np.pi - 0.02, rows)
    angles = np.linspace(0, 2 * np.pi, columns + 1)
    unit = np.stack(
        [
            np.outer(np.sin(polar), np.cos(angles)),
            np.outer(np.sin(polar), np.sin(angles)),
            np.outer(np.cos(polar), np.ones_like(angles)),
        ],
        axis=-1,
    )
    waves = rng.normal(size=(6, 3)) * 3.0
    phases = rng.uniform(0, 2 * np.pi, 6)
    wander = np.sin(unit @ waves.T + phases).mean(axis=-1, keepdims=True)
    points = unit * (1 + 2 * bumps * wander) * np.asarray(radii)
    points[..., 2] = np.maximum(points[..., 2], -radii[2] * (1 - flatness))
    points[..., 2] -= points[..., 2].min()
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    a = (row * (columns + 1) + column).ravel()
    b, c, d = a + 1, a + columns + 1, a + columns + 2
    faces = np.concatenate([np.stack([a, c, d], 1), np.stack([a, d, b], 1)])
    v, u = np.meshgrid(np.linspace(0, 1, rows), angles / (2 * np.pi), indexing="ij")
    return Part(points.reshape(-1, 3), faces, np.stack([u.ravel(), v.ravel()], 1), picture, shine=shine)


def tapered(
    path: FloatArray, radii: FloatArray, picture: textures.Picture, shine: float, sides: int = 14
) -> Part:
    """Like `tube`, for any path, with a radius for each of its points."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    helper = np.where(np.abs(tangent[:, 2:]) > 0.9, [[1.0, 0, 0]], [[0, 0, 1.0]])
    side = np.cross(tangent, helper)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    normal = np.cross(side, tangent)
    angles = np.linspace(0, 2 * np.pi, sides + 1)
    circle = np.cos(angles)[None, :, None] * side[:, None] + np.sin(angles)[None, :, None] * normal[:, None]
    rings = path[:, None] + radii[:, None, None] * circle
    row, column = np.meshgrid(np.arange(len(path) - 1), np.arange(sides), indexing="ij")
    a = (row * (sides + 1) + column).ravel()
    b, c, d = a + 1, a + sides + 1, a + sides + 2
    faces = np.concatenate([np.stack([a, d, b], 1), np.stack([a, c, d], 1)])
    v, u = np.meshgrid(np.linspace(0, 1, len(path)), angles / (2 * np.pi), indexing="ij")
    return Part(rings.reshape(-1, 3), faces, np.stack([u.ravel(), v.ravel()], 1), picture, shine=shine)


def thing(
    name: str, parts: list[Part], flat: bool = False, may_lie: bool = False, solid: bool = True
) -> Thing:
    """A thing of these parts, measured."""
    points = np.concatenate([part.vertices for part in parts])
    radius = float(np.hypot(points[:, 0], points[:, 1]).max())
    return Thing(name, parts, radius, float(points[:, 2].max()), flat, may_lie, solid)
