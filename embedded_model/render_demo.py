# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Render the demo's stream, a camera that swings around a table: `python render_demo.py --out ../demo`.

Nothing of it is in the training renders: other objects (several of kinds that training never shows), another
table and room, other views. Writes the bag tabletop/ with, in tabletop/truth/, annotations.json (COCO
instances), panoptic.json and panoptic/*.png (COCO panoptic) and poses.json, of every frame.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
from pathlib import Path

os.environ.setdefault("MUJOCO_GL", "osmesa")  # MuJoCo reads it once, when it is imported

import mujoco
import numpy as np
import textures
from demo_bag import FRAME, BagWriter, Calibration, quaternion
from objects import KINDS
from PIL import Image
from render_camera import Eye, Picture
from render_scene import BOX, PLANE, FloatArray, Scene, yaw
from render_truth import (
    Json,
    categories,
    instance_records,
    panoptic_record,
    segment_map,
    write_json,
    write_segment_png,
)
from shapes import Thing, plain

SIZE, FOVY = (480, 640), 48.0
PERIOD_NS, FRAMES = 80_000_000, 150  # 12.5 a second, 12 s
START_NS = 1_767_225_600 * 10**9  # 2026-01-01 00:00 UTC
JPEG_QUALITY = 80
ROOM_SEED = 424242
# class, kind, seed, x, y, z (metres), yaw
THINGS = (
    ("bowl", "white_bowl", 1, -0.02, -0.17, 0.0, 0.3),
    ("bottle", "bottle", 9106, -0.19, 0.1, 0.0, 0.0),
    ("bottle", "squeeze_bottle", 9110, 0.27, 0.1, 0.0, 0.6),
    ("can", "can", 9403, 0.1, 0.16, 0.0, 2.0),
    ("cup", "cup", 9608, 0.16, 0.02, 0.0, 0.8),
    ("box", "milk_carton", 9312, -0.03, 0.24, 0.0, 0.35),
    ("book", "book", 9202, -0.26, -0.1, 0.0, 0.5),
    ("plate", "plate", 9501, 0.24, -0.2, 0.0, 0.0),
    ("food", "burger", 9700, 0.24, -0.2, 0.005, 0.4),
    ("food", "lemon", 9701, -0.1, -0.02, 0.0, 1.1),
    ("food", "apple", 9703, 0.04, -0.03, 0.0, 0.0),
    ("block", "block", 9103, 0.05, 0.07, 0.0, 0.7),
    ("block", "wedge", 9102, -0.05, 0.1, 0.0, 0.2),
    ("", "screwdriver", 9801, 0.07, -0.31, 0.0, 0.5),
)


def wood(rng: np.random.Generator, size: int, light: float) -> textures.Picture:
    """Grain along x, as `textures.surface_picture` draws it, in a natural brown."""
    grain = textures.value_noise(rng, size, (28, 2))[..., None]
    dark, bright = np.array([105, 70, 42.0]) * light, np.array([172, 126, 82.0]) * light
    return np.clip(dark + (bright - dark) * grain, 0, 255).astype(np.uint8)


def add_room(scene: Scene) -> None:
    """A wooden table, a floor, four walls with a window, a cupboard, a lamp and the light of the window."""
    rng, light = scene.rng, scene.spec.visual.headlight
    light.ambient, light.diffuse = [0.42] * 3, [0.2] * 3
    top = scene.material(wood(rng, 512, 1.0), shine=0.15, repeat=1.2)
    scene.add_stuff("table", BOX, [0.55, 0.45, 0.02], [0, 0, -0.02], top)
    legs = scene.material(wood(rng, 64, 0.8))
    for x, y in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        scene.add_stuff("table", BOX, [0.03, 0.03, 0.355], [0.5 * x, 0.4 * y, -0.395], legs)
    floor = scene.material(textures.muted(rng, wood(rng, 256, 0.7)), shine=0.1, repeat=0.6)
    scene.add_stuff("floor", PLANE, [4, 4, 0.1], [0, 0, -0.75], floor)
    for side, (away, colour) in enumerate(
        ((2.2, (186, 190, 192)), (1.7, (198, 194, 184)), (1.9, (178, 188, 192)), (2.5, (198, 194, 184)))
    ):
        angle = side * np.pi / 2
        place = [away * np.cos(angle), away * np.sin(angle), 0.95]
        scene.add_stuff(
            "wall", BOX, [0.05, 4, 1.75], place, scene.material(plain(colour), shine=0), yaw(angle)
        )
    white, view = scene.material(plain((235, 235, 232))), scene.material(textures.sky_picture(rng), glow=0.8)
    scene.add_stuff("other", BOX, [0.55, 0.02, 0.42], [0.25, 1.64, 0.55], white)
    scene.add_stuff("other", BOX, [0.5, 0.02, 0.37], [0.25, 1.63, 0.55], view)
    cupboard = scene.material(wood(rng, 128, 1.15), shine=0.2, repeat=1.0)
    scene.add_stuff("other", BOX, [0.4, 0.2, 0.45], [-0.95, 1.3, -0.3], cupboard)
    for place, strength, shadow in (
        ([0.3, -0.4, 2.0], (0.6, 0.57, 0.52), True),
        ([-1.5, -1.0, 1.4], (0.28, 0.3, 0.34), False),
    ):
        scene.spec.worldbody.add_light(
            pos=place,
            dir=-np.array(place),
            diffuse=strength,
            specular=[0.25] * 3,
            castshadow=shadow,
            cutoff=90,
            attenuation=[1, 0, 0],
        )


def make_scene() -> tuple[Scene, list[Thing]]:
    """The scene, and the things in it; the first is body 1."""
    scene = Scene(np.random.default_rng(ROOM_SEED), SIZE)
    scene.spec.visual.quality.shadowsize = 4096
    add_room(scene)
    things = [KINDS[category][kind](np.random.default_rng(seed)) for category, kind, seed, *_ in THINGS]
    for thing, (*_, x, y, z, turn) in zip(things, THINGS, strict=True):
        scene.add(thing, np.array([x, y, z]), yaw(turn))
    return scene, things


def camera_at(part: float) -> mujoco.MjvCamera:
    """The camera at 0 … 1 of the stream: there and back along an arc, up and down, nearer and farther."""
    camera, swing = mujoco.MjvCamera(), np.sin(2 * np.pi * part)
    camera.lookat = np.array([0.0, 0.02 + 0.03 * swing, 0.04])
    camera.azimuth = 95 + 42 * swing
    camera.elevation = -40 + 12 * np.sin(4 * np.pi * part)
    camera.distance = 1.0 - 0.14 * np.cos(2 * np.pi * part)
    return camera


def object_poses(things: list[Thing], data: mujoco.MjData, camera: FloatArray) -> list[Json]:
    """Where each thing is in the camera's optical frame, in metres.

    segment_id: in the panoptic map. position, orientation (x, y, z, w): of the thing's own frame, whose
    origin is the middle of its foot. centre: of its box. size: of its box along its own axes.
    """
    found = []
    for body, (thing, (category, kind, *_)) in enumerate(zip(things, THINGS, strict=True), start=1):
        points = np.concatenate([part.vertices for part in thing.parts])
        low, high = points.min(0), points.max(0)
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = data.xmat[body].reshape(3, 3), data.xpos[body]
        seen = np.linalg.inv(camera) @ pose
        numbers = {
            "position": seen[:3, 3],
            "orientation": quaternion(seen[:3, :3]),
            "centre": seen[:3, :3] @ ((low + high) / 2) + seen[:3, 3],
            "size": high - low,
        }
        rounded = {key: [round(float(v), 5) for v in value] for key, value in numbers.items()}
        found.append({"segment_id": 100 + body, "category": category, "kind": kind, **rounded})
    return [entry for entry in found if entry["category"]]


def jpeg(picture: Picture) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def render(out: Path) -> None:
    scene, things = make_scene()
    model, data = scene.settled(0.0)
    # MuJoCo moves a mesh to its centre of mass; the body stays where it was put.
    bodies, labels = scene.labels(model)
    bag, truth = out / "tabletop", out / "tabletop" / "truth"
    shutil.rmtree(bag, ignore_errors=True)
    calibration = Calibration.of(SIZE, FOVY)
    writer = BagWriter(bag, calibration)
    (truth / "panoptic").mkdir(parents=True)
    images, instances, panoptic, poses = [], [], [], []
    with Eye(model, data, SIZE) as eye:
        for frame in range(FRAMES):
            eye.look(camera_at(frame / FRAMES), FOVY)
            stamp_ns, name = START_NS + frame * PERIOD_NS, f"{frame:06d}.png"
            writer.add(stamp_ns, jpeg(eye.colour()), eye.depth_m(), eye.pose())
            ids, names = segment_map(eye.geoms(), bodies, labels)
            write_segment_png(truth / "panoptic" / name, ids)
            file_name = f"tabletop#{frame}"
            images.append({"id": frame, "file_name": file_name, "height": SIZE[0], "width": SIZE[1]})
            instances += instance_records(ids, names, frame)
            panoptic.append(panoptic_record(ids, names, frame, name))
            poses.append(
                {"image_id": frame, "stamp_ns": stamp_ns, "objects": object_poses(things, data, eye.pose())}
            )
    writer.close()
    lists = {"annotations.json": (instances, True), "panoptic.json": (panoptic, False)}
    for name, (entries, things_only) in lists.items():
        content = {"images": images, "annotations": entries, "categories": categories(things_only)}
        write_json(truth / name, content)
    k = calibration.k.ravel().tolist()
    write_json(truth / "poses.json", {"frame_id": FRAME, "unit": "m", "k": k, "frames": poses})
    sizes = {path.name: path.stat().st_size for path in bag.rglob("*") if path.suffix in (".mcap", ".json")}
    print(json.dumps(sizes))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    render(parser.parse_args().out)


if __name__ == "__main__":
    main()
