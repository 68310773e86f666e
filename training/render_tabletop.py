"""Render a robot's tabletop camera with instance masks: `python render_tabletop.py --out DIR --scenes 500`.

Every scene is laid out without physics (footprints that do not overlap, some things on others), seen by
several random cameras under random lights. Writes JPEGs and one COCO json a worker.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("MUJOCO_GL", "osmesa")

import mujoco
import numpy as np
import objects
import textures
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

CLASSES = ("person", "bottle", "cup", "bowl", "plate", "can", "box", "book", "block")
MIN_PIXELS = 40


class Scene:
    """A MuJoCo scene under construction: a room, a table whose top is z = 0, and things on it."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        self.rng, self.spec, self.names = rng, mujoco.MjSpec(), [""]
        self.count = 0
        height, width = size
        self.spec.visual.global_.offheight, self.spec.visual.global_.offwidth = height, width
        self.spec.visual.quality.shadowsize = 1024
        self.spec.visual.quality.offsamples = 2
        self.spec.visual.map.znear, self.spec.visual.map.zfar = 0.02, 20.0
        self.spec.stat.extent, self.spec.stat.center = 1.0, [0, 0, 0]
        ambient = float(rng.uniform(0.15, 0.5))
        self.spec.visual.headlight.ambient = [ambient] * 3
        self.spec.visual.headlight.diffuse = [float(rng.uniform(0, 0.35))] * 3

    def material(
        self, picture: textures.Picture, rgba: tuple[float, ...], shine: float, repeat: float = 0
    ) -> str:
        name = f"m{self.count}"
        self.count += 1
        texture = self.spec.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, nchannel=3)
        texture.height, texture.width = picture.shape[:2]
        texture.data = np.ascontiguousarray(picture).tobytes()
        look = self.spec.add_material(name=name, rgba=rgba, specular=shine, shininess=0.3 + 0.6 * shine)
        look.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
        if repeat:
            look.texrepeat, look.texuniform = [repeat, repeat], True
        return name

    def add(
        self, thing: objects.Thing, position: NDArray[np.float64], quaternion: NDArray[np.float64]
    ) -> None:
        """Put a thing down; its geoms get the next body's name."""
        body = self.spec.worldbody.add_body(pos=position, quat=quaternion)
        for part in thing.parts:
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
                contype=0,
                conaffinity=0,
            )
        self.names.append(thing.name)

    def add_room(self) -> tuple[float, float]:
        """Table, floor, two to four walls and lights. Returns the table's half sizes."""
        rng, world = self.rng, self.spec.worldbody
        half = rng.uniform(0.35, 0.9, 2)
        box, repeat = mujoco.mjtGeom.mjGEOM_BOX, float(rng.uniform(0.8, 4))
        top = self.material(
            textures.surface_picture(rng, 512), (1, 1, 1, 1), float(rng.uniform(0, 0.6)), repeat
        )
        world.add_geom(type=box, size=[*half, 0.02], pos=[0, 0, -0.02], material=top)
        floor = self.material(textures.surface_picture(rng), (1, 1, 1, 1), 0.1, float(rng.uniform(0.5, 2)))
        world.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[4, 4, 0.1], pos=[0, 0, -0.75], material=floor)
        for side in range(4):
            wall = self.material(
                textures.surface_picture(rng), (1, 1, 1, 1), 0.0, float(rng.uniform(0.3, 1.5))
            )
            distance, angle = rng.uniform(1.0, 3.0), side * np.pi / 2
            place = [distance * np.cos(angle), distance * np.sin(angle), 1.0]
            size = [0.05, 4, 2] if side % 2 == 0 else [4, 0.05, 2]
            world.add_geom(type=box, size=size, pos=place, material=wall)
        for i in range(int(rng.integers(1, 4))):
            place = np.append(rng.uniform(-1.5, 1.5, 2), rng.uniform(1.0, 2.5))
            strength = rng.uniform(0.25, 0.7) / (1 + i) * rng.uniform(0.85, 1.0, 3)
            world.add_light(
                pos=place,
                dir=-place,
                diffuse=strength,
                specular=strength * rng.uniform(0, 1),
                castshadow=i == 0,
                cutoff=90,
                attenuation=[1, 0, 0],
            )
        return float(half[0]), float(half[1])


def yaw(angle: float) -> NDArray[np.float64]:
    return np.array([np.cos(angle / 2), 0, 0, np.sin(angle / 2)])


def lie_down(rng: np.random.Generator) -> NDArray[np.float64]:
    """Turn the z axis into the table's plane, then about the vertical."""
    out = np.zeros(4)
    tip = np.array([np.cos(np.pi / 4), np.sin(np.pi / 4), 0, 0])
    mujoco.mju_mulQuat(out, yaw(rng.uniform(0, 2 * np.pi)), tip)
    return out


def lay_out(scene: Scene, half: tuple[float, float], things: list[objects.Thing], spread: float) -> None:
    """Drop things where their footprints are free; four in ten flat ones get something on top."""
    rng, placed = scene.rng, list[tuple[float, float, float]]()
    waiting = list(things)
    while waiting:
        thing = waiting.pop()
        lying = thing.may_lie and rng.random() < 0.2
        radius = max(thing.height / 2, thing.radius) if lying else thing.radius
        for _ in range(30):
            reach = np.minimum(np.array(half) - radius, spread)
            x, y = rng.uniform(-1, 1, 2) * np.maximum(reach, 0.05)
            if all(np.hypot(x - a, y - b) > (radius + r) * 0.93 for a, b, r in placed):
                break
        else:
            continue
        placed.append((x, y, radius))
        if lying:
            turn = lie_down(rng)
            axis = np.zeros(3)
            mujoco.mju_rotVecQuat(axis, np.array([0, 0, 1.0]), turn)
            scene.add(thing, np.array([x, y, thing.radius]) - axis * thing.height / 2, turn)
            continue
        scene.add(thing, np.array([x, y, 0.0]), yaw(rng.uniform(0, 2 * np.pi)))
        if thing.flat and waiting and rng.random() < 0.4 and waiting[-1].radius < 0.9 * thing.radius:
            rise = 0.004 if thing.name == "plate" else thing.height
            scene.add(waiting.pop(), np.array([x, y, rise + 0.0005]), yaw(rng.uniform(0, 2 * np.pi)))


def random_camera(rng: np.random.Generator, spread: float) -> tuple[mujoco.MjvCamera, float]:
    """A free camera that looks at the table from above, and its vertical field of view in degrees."""
    camera, fovy = mujoco.MjvCamera(), float(rng.uniform(35, 65))
    camera.lookat = np.append(rng.uniform(-0.5, 0.5, 2) * spread, rng.uniform(-0.02, 0.1))
    camera.azimuth, camera.elevation = rng.uniform(0, 360), -rng.uniform(18, 85)
    camera.distance = rng.uniform(0.75, 1.9) * (0.25 + 1.3 * spread) / (2 * np.tan(np.radians(fovy) / 2))
    return camera, fovy


def annotations(ids: NDArray[np.int32], names: list[str]) -> list[dict]:
    """COCO annotations of an (H, W) picture of body numbers."""
    found = []
    for body in np.unique(ids):
        if body <= 0 or not names[body]:
            continue
        visible = ids == body
        area = int(visible.sum())
        if area < MIN_PIXELS:
            continue
        rle = coco_mask.encode(np.asfortranarray(visible.astype(np.uint8)))
        box = [float(v) for v in coco_mask.toBbox(rle)]
        rle["counts"] = rle["counts"].decode()
        found.append(
            {
                "category_id": CLASSES.index(names[body]) + 1,
                "segmentation": rle,
                "bbox": box,
                "area": area,
                "iscrowd": 0,
            }
        )
    return found


def body_picture(renderer: mujoco.Renderer, model: mujoco.MjModel) -> NDArray[np.int32]:
    """Body number of every pixel of the last scene; 0 is the room."""
    renderer.enable_segmentation_rendering()
    pixels = renderer.render()
    renderer.disable_segmentation_rendering()
    geoms = np.where(pixels[..., 1] == int(mujoco.mjtObj.mjOBJ_GEOM), pixels[..., 0], -1)
    return np.where(geoms >= 0, model.geom_bodyid[geoms], 0)


def make_scene(seed: int, size: tuple[int, int], held_out: bool) -> tuple[Scene, float]:
    rng = np.random.default_rng(seed)
    scene = Scene(rng, size)
    half = scene.add_room()
    spread = float(rng.uniform(0.12, 0.38))
    things = [objects.random_thing(rng, held_out) for _ in range(int(rng.integers(3, 15)))]
    lay_out(scene, half, things, spread)
    return scene, spread


def render(args: argparse.Namespace) -> None:
    out = Path(args.out)
    (out / "images").mkdir(parents=True, exist_ok=True)
    size = (args.height, args.width)
    record = {
        "images": [],
        "annotations": [],
        "categories": [{"id": i + 1, "name": n} for i, n in enumerate(CLASSES)],
    }
    for number in range(args.first, args.first + args.scenes):
        scene, spread = make_scene(args.seed * 1_000_000 + number, size, args.held_out)
        model = scene.spec.compile()
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        with mujoco.Renderer(model, *size) as renderer:
            for view in range(args.views):
                camera, fovy = random_camera(scene.rng, spread)
                model.vis.global_.fovy = fovy
                renderer.update_scene(data, camera)
                picture, bodies = renderer.render().copy(), body_picture(renderer, model)
                name, image_id = f"{number:06d}_{view}.jpg", number * 10 + view
                Image.fromarray(picture).save(out / "images" / name, quality=92)
                record["images"].append(
                    {"id": image_id, "file_name": name, "height": size[0], "width": size[1]}
                )
                for annotation in annotations(bodies, scene.names):
                    record["annotations"].append(
                        {
                            **annotation,
                            "image_id": image_id,
                            "id": len(record["annotations"]) + number * 1000 + 1,
                        }
                    )
        if number % 10 == 9 or number == args.first + args.scenes - 1:
            part = out / f"part_{args.first:06d}.json"
            part.with_suffix(".tmp").write_text(json.dumps(record))
            part.with_suffix(".tmp").replace(part)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True)
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument(
        "--first", type=int, default=0, help="number of the first scene (for several workers)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--width", type=int, default=480)
    parser.add_argument("--held-out", action="store_true", help="use the scanned objects kept from training")
    render(parser.parse_args())


if __name__ == "__main__":
    main()
