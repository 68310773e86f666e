# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A bar for every image size and number of objects, split into the steps of a frame's way."""

from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

# step → colour; in the order of a frame's way, prepare last because it is told apart
COLOURS = {
    "take": "#4477aa",
    "wait": "#bbbbbb",
    "decode": "#66ccee",
    "assemble": "#228833",
    "publish": "#ee6677",
    "prepare": "#ccbb44",
}
WIDTH, LEFT, ROW, TOP, RIGHT = 1000, 190, 34, 84, 70


def draw_chart(report: dict[str, Any], path: Path) -> None:
    """PNG of the median milliseconds of the cells with mono8 masks and no panoptic map."""
    plain = [
        r
        for r in report["cells"]
        if (r["encoding"], r["panoptic"], r["input"]) == ("mono8", False, "torchvision")
    ] or report["cells"]
    longest = max(sum(r["ms"][step][0] for step in COLOURS) for r in plain)
    pixels_per_ms = (WIDTH - LEFT - RIGHT) / longest
    picture = Image.new("RGB", (WIDTH, TOP + ROW * len(plain) + 16), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(15)
    draw.text((12, 12), "Milliseconds a frame without the model (medians)", "black", font)
    _draw_legend(draw, font)
    for row, r in enumerate(plain):
        y, x = TOP + ROW * row, float(LEFT)
        draw.text((12, y + 5), f"{r['width']}x{r['height']}, {r['instances']} objects", "black", font)
        for step, colour in COLOURS.items():
            end = x + r["ms"][step][0] * pixels_per_ms
            draw.rectangle((x, y, end, y + ROW - 10), colour)
            x = end
        draw.text((x + 8, y + 4), f"{sum(r['ms'][step][0] for step in COLOURS):.1f}", "black", font)
    picture.save(path)


def _draw_legend(draw: ImageDraw.ImageDraw, font: Any) -> None:
    x = LEFT
    for step, colour in COLOURS.items():
        draw.rectangle((x, 50, x + 14, 64), colour)
        draw.text((x + 20, 48), step, "black", font)
        x += 120
