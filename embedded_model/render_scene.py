# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A MuJoCo scene under construction: a room, a table whose top is z = 0, and things on it."""

from __future__ import annotations

import mujoco
import numpy as np
import textures
from numpy.typing import NDArray
from shapes import Part, Thing

FloatArray = NDArray[np.float64]
BOX, CYLINDER, PLANE = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_PLANE
UPRIGHT = np.array([1.0, 0, 0, 0])


class Scene:
    """`names[b]` is the class of the thing with body number b ("" = clutter), `stuff[g]` what geom g is
    when it belongs to no thing."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        self.rng, self.spec, self.names = rng, mujoco.MjSpec(), [""]
        self.stuff: dict[str, str] = {}
        self._count = 0
        visual = self.spec.visual
        visual.global_.offheight, visual.global_.offwidth = size
        visual.quality.shadowsize, visual.quality.offsamples = 2048, 4
        visual.map.znear, visual.map.zfar = 0.02, 20.0
        self.spec.stat.extent, self.spec.stat.center = 1.0, [0, 0, 0]
        self.spec.option.timestep = 0.004

    def material(
        self,
        picture: textures.Picture,
        rgba: tuple[float, ...] = (1, 1, 1, 1),
        shine: float = 0.1,
        repeat: float = 0,
        glow: float = 0,
    ) -> str:
        """repeat: pictures a metre, 0 for one over the whole surface. glow: light of its own, 0 … 1."""
        name = self._new_name()
        texture = self.spec.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, nchannel=3)
        texture.height, texture.width = picture.shape[:2]
        texture.data = np.ascontiguousarray(picture).tobytes()
        look = self.spec.add_material(name=name, rgba=rgba, specular=shine, shininess=0.3 + 0.6 * shine)
        look.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
        look.emission = glow
        if repeat:
            look.texrepeat, look.texuniform = [repeat, repeat], True
        return name

    def add_stuff(
        self,
        stuff: str,
        shape: mujoco.mjtGeom,
        size: FloatArray | list[float],
        place: FloatArray | list[float],
        material: str,
        turn: FloatArray = UPRIGHT,
        solid: bool = True,
    ) -> None:
        """A part of the room: its half sizes, its centre, and what it is in the ground truth."""
        name = self._new_name()
        self.stuff[name] = stuff
        self.spec.worldbody.add_geom(
            name=name,
            type=shape,
            size=size,
            pos=place,
            quat=turn,
            material=material,
            contype=int(solid),
            conaffinity=int(solid),
        )

    def add(self, thing: Thing, place: FloatArray, turn: FloatArray, falls: bool = False) -> None:
        """Put a thing down; its geoms get the next body's number. falls: physics moves it."""
        body = self.spec.worldbody.add_body(pos=place, quat=turn)
        if falls:
            body.add_freejoint()
        for part in thing.parts:
            self._add_mesh(body, part, falls)
        self.names.append(thing.name)

    def _add_mesh(self, body: mujoco.MjsBody, part: Part, falls: bool) -> None:
        material = self.material(part.picture, part.rgba, part.shine)
        self.spec.add_mesh(
            name=material,
            uservert=part.vertices.ravel(),
            userface=part.faces.ravel(),
            usertexcoord=part.uv.ravel(),
            userfacetexcoord=part.faces.ravel(),
            inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,
        )
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_MESH,
            meshname=material,
            material=material,
            contype=int(falls),
            conaffinity=int(falls),
            condim=4,
            friction=[0.8, 0.01, 0.001],
        )

    def _new_name(self) -> str:
        self._count += 1
        return f"n{self._count}"

    def settled(self, seconds: float) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """The compiled scene after so much time of physics."""
        model = self.spec.compile()
        data = mujoco.MjData(model)
        for _ in range(round(seconds / model.opt.timestep)):
            mujoco.mj_step(model, data)
        mujoco.mj_forward(model, data)
        return model, data

    def labels(self, model: mujoco.MjModel) -> tuple[NDArray[np.int32], list[str]]:
        """For every geom its body number (0: no thing) and what it is ("other" for clutter)."""
        bodies = np.array([b if self.names[b] else 0 for b in model.geom_bodyid], np.int32)
        found = []
        for geom in range(model.ngeom):
            name = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_GEOM, geom)
            found.append(
                self.stuff[name] if name in self.stuff else self.names[model.geom_bodyid[geom]] or "other"
            )
        return bodies, found


def yaw(angle: float) -> FloatArray:
    return np.array([np.cos(angle / 2), 0, 0, np.sin(angle / 2)])


def lie_down(rng: np.random.Generator) -> FloatArray:
    """Turn the z axis into the table's plane, then about the vertical."""
    out = np.zeros(4)
    tip = np.array([np.cos(np.pi / 4), np.sin(np.pi / 4), 0, 0])
    mujoco.mju_mulQuat(out, yaw(rng.uniform(0, 2 * np.pi)), tip)
    return out


def any_turn(rng: np.random.Generator) -> FloatArray:
    """A random orientation."""
    turn = rng.normal(size=4)
    return turn / np.linalg.norm(turn)
