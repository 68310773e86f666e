# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Configuration files of other projects, YAML and Python, with their bases."""

from pathlib import Path
from random import Random

from thin_detectron2 import CONFIG

from fuzz import mutate, trees
from fuzz.target import Input, Target
from seg_node.models.files.config_file import read_config

_PYTHON = """\
_base_ = ['./base.py']
norm = dict(type='BN', requires_grad=True)
img_scale = (1333, 800)
model = dict(
    type='SOLOv2',
    backbone=dict(depth=50, num_stages=4, out_indices=(0, 1, 2, 3), norm_cfg=norm),
    bbox_head=dict(num_classes=81, strides=[8, 8, 16, 32, 32], num_grids=[40, 36, 24, 16, 12]),
    test_cfg=dict(score_thr=0.1, sigma=2.0, kernel='gaussian', nms_pre=500))
work_dir = './work/' + 'solo'
total = 36 * 2 - 1
"""
_EXPRESSIONS = (
    "__import__('os').system('true')", "open('/outside', 'w')", "2 ** 99999", "9 * 10 ** 5000",
    "'a' * 10 ** 9", "[0] * 10 ** 9", "list(range(10 ** 9))", "range(-1)", "1 / 0", "1e308 * 10",
    "{}['a']", "[][0]", "{[]: 1}", "dict(**3)", "{**norm, **norm}", "-'a'", "~1", "lambda: 1", "f'{1}'",
    "b'a'", "...", "(yield)", "[*norm]", "norm[norm]", "norm['type'][0]", "1 << 99999", "not 1",
    "'\\ud800'", "'\\x00'", "1_000", "0x" + "f" * 5000, "(" * 150 + ")" * 150, "-" * 3000 + "1",
    "[" * 150 + "]" * 150, "1" + " + 1" * 3000, "norm + norm",
)  # fmt: skip


def make(random: Random) -> Input:
    """Files by name, the first one to be read."""
    if random.random() < 0.1:
        return {"files": _bases(random)}
    if random.random() < 0.5:
        text = trees.yaml_text(CONFIG, random)
        return {"files": {"config.yaml": text.encode("utf-8", "surrogatepass"), "base.yaml": b"A: 1"}}
    return {
        "files": {"config.py": _python(random).encode("utf-8", "surrogatepass"), "base.py": b"a = dict(b=1)"}
    }


def _python(random: Random) -> str:
    if random.random() < 0.3:
        return mutate.mutate_bytes(_PYTHON.encode(), random).decode("utf-8", "replace")
    lines = _PYTHON.splitlines()
    odd = random.choice(_EXPRESSIONS)
    if random.random() < 0.2:  # doubled with every line
        names = [f"n{i} = [{', '.join([f'n{i - 1}'] * 9)}]" for i in range(1, random.choice((5, 12, 40)))]
        lines = ["n0 = [1]", *names, *lines]
    lines[random.randrange(len(lines))] = random.choice(
        (
            f"extra = {odd}",
            odd,
            f"model = dict(a={odd})",
            f"norm = {{{odd}: 1}}",
            f"_base_ = {odd}",
            f"x: int = {odd}",
        )
    )
    return "\n".join(lines)


def _bases(random: Random) -> dict[str, bytes]:
    count, times = random.choice((2, 12, 40, 200)), random.choice((1, 2, 2))
    ends = ("A: 1", "_BASE_: f0.yaml", "_BASE_: ../../etc/passwd", "_BASE_: 3", "_BASE_: missing.yaml")
    return _chain(count, times, random.choice(ends))


def _chain(count: int, times: int, end: str) -> dict[str, bytes]:
    """Files each of which names the next one as its base so many times."""
    files = {f"f{i}.yaml": f"_BASE_: {[f'f{i + 1}.yaml'] * times}\nA: {i}".encode() for i in range(count)}
    return {**files, f"f{count}.yaml": end.encode()}


def run(fields: Input, folder: Path) -> None:
    for name, data in fields["files"].items():
        (folder / name).write_bytes(data)
    content = read_config(folder / next(iter(fields["files"])))
    assert isinstance(content, dict)


TARGET = Target(
    "config",
    make,
    run,
    (ValueError, FileNotFoundError),
    known={
        "every base twice": lambda: {"files": _chain(40, 2, "A: 1")},
        "merges": lambda: {"files": {"config.yaml": trees.with_merges(60).encode()}},
        "aliases": lambda: {"files": {"config.yaml": trees.with_aliases(30, 9).encode()}},
    },
)
