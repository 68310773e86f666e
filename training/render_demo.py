"""Render the demo's stream, a camera that swings around a table: `python render_demo.py --out ../demo`.

Nothing of it is in the training renders: other objects (one a scanned bowl that training never sees), another
table and room, other views. Writes tabletop.mp4 and tabletop.json (COCO, every fifth frame).
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

import mujoco
import numpy as np
import objects
import textures
from render_tabletop import CLASSES, Scene, annotations, body_picture, yaw

SIZE = (480, 640)
FPS, FRAMES, EVERY = 12.5, 150, 5
ROOM_SEED = 424242
# class, seed, x, y (metres), yaw; "scan" is the held-out bowl
THINGS = (
    ("scan", 1, -0.02, -0.16, 0.3),
    ("bottle", 9106, -0.17, 0.1, 0.0),
    ("can", 9403, 0.1, 0.16, 2.0),
    ("cup", 9608, 0.18, 0.02, 0.8),
    ("box", 9311, -0.03, 0.24, 0.35),
    ("book", 9202, -0.24, -0.1, 0.5),
    ("plate", 9501, 0.22, -0.2, 0.0),
    ("block", 9103, 0.03, 0.03, 0.7),
    ("block", 9102, -0.05, 0.06, 0.2),
)


def wood(rng: np.random.Generator, size: int, light: float) -> textures.Picture:
    """Grain along x, as `textures.surface_picture` draws it, in a natural brown."""
    grain = textures.value_noise(rng, size, (28, 2))[..., None]
    dark, bright = np.array([105, 70, 42.0]) * light, np.array([172, 126, 82.0]) * light
    return np.clip(dark + (bright - dark) * grain, 0, 255).astype(np.uint8)


def add_room(scene: Scene) -> None:
    """A wooden table, a floor, two light walls, a ceiling lamp and the light of a window."""
    rng, world = scene.rng, scene.spec.worldbody
    box = mujoco.mjtGeom.mjGEOM_BOX
    scene.spec.visual.headlight.ambient, scene.spec.visual.headlight.diffuse = [0.42] * 3, [0.2] * 3
    top = scene.material(wood(rng, 512, 1.0), (1, 1, 1, 1), 0.15, 1.2)
    world.add_geom(type=box, size=[0.55, 0.45, 0.02], pos=[0, 0, -0.02], material=top)
    floor = scene.material(wood(rng, 256, 0.7), (1, 1, 1, 1), 0.1, 0.6)
    world.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[4, 4, 0.1], pos=[0, 0, -0.75], material=floor)
    for place, size, colour in (
        ([0, 1.6, 1], [4, 0.05, 2], (196, 192, 182)),
        ([-1.9, 0, 1], [0.05, 4, 2], (178, 188, 192)),
    ):
        wall = scene.material(objects.plain(colour), (1, 1, 1, 1), 0.0)
        world.add_geom(type=box, size=size, pos=place, material=wall)
    for place, strength, shadow in (
        ([0.3, -0.4, 2.0], (0.6, 0.57, 0.52), True),
        ([-1.5, -1.0, 1.4], (0.28, 0.3, 0.34), False),
    ):
        world.add_light(
            pos=place,
            dir=-np.array(place),
            diffuse=strength,
            specular=[0.25] * 3,
            castshadow=shadow,
            cutoff=90,
            attenuation=[1, 0, 0],
        )


def make_scene() -> Scene:
    scene = Scene(np.random.default_rng(ROOM_SEED), SIZE)
    scene.spec.visual.quality.shadowsize = 4096
    add_room(scene)
    for kind, seed, x, y, turn in THINGS:
        rng = np.random.default_rng(seed)
        thing = objects.scan(rng, objects.HELD_OUT_SCANS[0]) if kind == "scan" else objects.MAKERS[kind](rng)
        scene.add(thing, np.array([x, y, 0.0]), yaw(turn))
    return scene


def camera_at(part: float) -> mujoco.MjvCamera:
    """The camera at 0 … 1 of the stream: there and back along an arc, up and down, nearer and farther."""
    camera, swing = mujoco.MjvCamera(), np.sin(2 * np.pi * part)
    camera.lookat = np.array([0.0, 0.02 + 0.03 * swing, 0.04])
    camera.azimuth = 95 + 42 * swing
    camera.elevation = -40 + 9 * np.sin(4 * np.pi * part)
    camera.distance = 1.0 - 0.12 * np.cos(2 * np.pi * part)
    return camera


def render(out: Path) -> None:
    scene = make_scene()
    model = scene.spec.compile()
    model.vis.global_.fovy = 48
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    record = {
        "images": [],
        "annotations": [],
        "categories": [{"id": i + 1, "name": n} for i, n in enumerate(CLASSES)],
    }
    size = f"{SIZE[1]}x{SIZE[0]}"
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", str(FPS), "-i", "-"]
    coded = [
        "-c:v",
        "libx264",
        "-crf",
        "21",
        "-preset",
        "slow",
        "-pix_fmt",
        "yuv420p",
        "-movflags",
        "+faststart",
    ]
    command = ["ffmpeg", "-loglevel", "error", "-y", *raw, *coded, str(out / "tabletop.mp4")]
    with (
        mujoco.Renderer(model, *SIZE) as renderer,
        subprocess.Popen(command, stdin=subprocess.PIPE) as encoder,
    ):
        for frame in range(FRAMES):
            renderer.update_scene(data, camera_at(frame / FRAMES))
            encoder.stdin.write(renderer.render().tobytes())
            if frame % EVERY:
                continue
            name = f"tabletop.mp4#{frame}"
            record["images"].append({"id": frame, "file_name": name, "height": SIZE[0], "width": SIZE[1]})
            for annotation in annotations(body_picture(renderer, model), scene.names):
                number = len(record["annotations"]) + 1
                record["annotations"].append({**annotation, "image_id": frame, "id": number})
    (out / "tabletop.json").write_text(json.dumps(record) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    render(parser.parse_args().out)


if __name__ == "__main__":
    main()
