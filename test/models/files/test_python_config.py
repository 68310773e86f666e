# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Python configurations are read as far as they are data; code that makes settings is refused."""

import logging
from pathlib import Path
from typing import Any

import pytest

from seg_node.models.files.config_file import parse_python_config, read_config

BASE = """
model = dict(
    type='SOLOv2', backbone=dict(type='ResNet', depth=50), bbox_head=dict(num_classes=81, num_grids=[40]))
test_cfg = dict(score_thr=0.1)
"""
BASE_CONTENT = {
    "model": {
        "type": "SOLOv2",
        "backbone": {"type": "ResNet", "depth": 50},
        "bbox_head": {"num_classes": 81, "num_grids": [40]},
    },
    "test_cfg": {"score_thr": 0.1},
}


def read(folder: Path, text: str, **files: str) -> dict[str, Any]:
    (folder / "base.py").write_text(BASE)
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    (folder / "c.py").write_text(text)
    return read_config(folder / "c.py")


@pytest.mark.parametrize(
    "text",
    [
        "_base_ = './base.py'",
        "_base_: str = './base.py'",
        "from mmengine.config import read_base\nwith read_base():\n    from .base import *",
        "with read_base():\n    from .base import model, test_cfg",
        "with read_base():\n    from .base import model as m, test_cfg\nmodel = m\nm = 0",
        "with read_base():\n    from .inner.more import *",
    ],
)
def test_a_base_is_followed_however_it_is_named(text: str, tmp_path: Path) -> None:
    content = read(tmp_path, text, inner__more="with read_base():\n    from ..base import *")
    content.pop("m", None)
    assert content == BASE_CONTENT


def test_later_statements_change_a_base_as_mmengine_does(tmp_path: Path) -> None:
    content = read(
        tmp_path,
        """
from mmengine.config import read_base
from mmdet.models import ResNet as Body
with read_base():
    from .base import *
model.update(dict(bbox_head=dict(num_classes=4)), pretrained=None)
model.backbone.type = Body
model['bbox_head']['num_grids'][0] = 20
test_cfg.update(score_thr=0.2)
steps = [1]
steps += [2]
a = b = 3
""",
    )
    head = {"num_classes": 4, "num_grids": [20]}
    assert content == {
        "model": {
            "type": "SOLOv2",
            "backbone": {"type": "ResNet", "depth": 50},
            "bbox_head": head,
            "pretrained": None,
        },
        "test_cfg": {"score_thr": 0.2},
        "steps": [1, 2],
        "a": 3,
        "b": 3,
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x = [[i * 2 ** (j / 2) for j in range(3)] for i in [24, 48]]",
         [[24, 24 * 2**0.5, 48], [48, 48 * 2**0.5, 96]]),
        ("x = [[[1, 1/2, 2]]] * 2", [[[1, 0.5, 2]], [[1, 0.5, 2]]]),
        ("x = list(range(1, 4)) + list() + [len('abc'), int(2.7), float(3)]", [1, 2, 3, 3, 2, 3.0]),
        ("y = Config({'a': {'b': 1}})\nx = y.a.copy({'c': y.a.b + 1})", {"b": 1, "c": 2}),
        ("y = dict(a=1)\nx = dict(y, b=2, **{'c': 3})", {"a": 1, "b": 2, "c": 3}),
        ("f = Config({'relu': lambda x: x, 'tanh': torch.tanh})\nx = [f.relu, f.tanh]", ["relu", "tanh"]),
        ("x = {1: 2, 'a': {3: 4}}", {"1": 2, "a": {"3": 4}}),
    ],
)  # fmt: skip
def test_plain_expressions_are_what_python_makes_of_them(text: str, value: Any) -> None:
    assert parse_python_config(f"import torch\n{text}", "c.py")["x"] == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("from ..common.mask_rcnn_fpn import model\nmodel.pixel_std = [1, 2, 3]",
         r"line 2 changes model, which comes from ..common.mask_rcnn_fpn .* LazyConfig.*INPUT.FORMAT"),
        ("model = zoo.get_config('x').model\nmodel.a.b = 1", "model, which comes from code in line 1"),
        ("from detectron2.config import LazyCall as L\nmodel = L(FPN)(out=[1])", r"model \(line 2\) is code"),
        ("model = make_model()", r"model \(line 1\) is code"),
        ("model = dict(a=1)\nmodel.b = f()", "line 2 changes settings by code"),
        ("model = dict(a=1)\nmodel.update(f())", "line 2 changes settings by code"),
        ("model = dict(a=1)\nmodel.pop('a')", "line 2 changes settings by code"),
        ("model = dict(a=1)\nfor key in model:\n    pass", "line 2 changes settings by code"),
        ("model = dict(a=1)\nif True:\n    model = dict(a=2)", "line 2 changes settings by code"),
        ("model = dict(a=1)\ndel model['a']", "line 2 changes settings by code"),
        ("own = base_config.copy({'max_size': 400})", r"base_config \(line 1\) is the base of other"),
        ("with read_base():\n    from mmdet.configs.base import *", "base in line 2 is not a file beside"),
        ("with read_base():\n    x = 1", "its base in line 2 is not a file beside it"),
        ("with read_base():\n    from .gone import *", r"gone\.py: no such configuration file, the base of"),
        ("with read_base():\n    from .base import neck", "its base base .line 2. has no neck that could"),
        ("with read_base():\n    from .c import *", "is based on it in turn"),
        ("_base_ = make_base()", r"nothing in it could be read without running it \(_base_ \(line 1\)\)"),
        ("import os\nos.system('true')", "nothing in it could be read without running it .line 2."),
        ("_base_ = make_base()\nx = 1", r"_base_ \(line 1\) is code that would have to be run"),
        ("x = 1\ntest_pipeline = make()", r"test_pipeline \(line 2\) is code"),
        ("x = dict(a=1)\nimg_norm_cfg = x(a=1)", r"img_norm_cfg \(line 2\) is code"),
        ("from .base import *\nx = 1", r"line 1 imports all of \.base, which would have to be run"),
        ("from base import *\nx = 1", "line 1 imports all of base"),
        ("x = 1\ntry:\n    from .math import *\nexcept A:\n    pass", r"line 3 imports all of \.math"),
        ("exec(open('base.py').read())\nx = 1", "line 1 changes settings by code"),
        ("x = 1\nglobals().update(x=2)", "line 2 changes settings by code"),
        ("x = 1\nlocals()['x'] = 2", "line 2 changes settings by code"),
        ("x = dict(a=1)\nsetattr(x, 'a', 2)", "line 2 changes settings by code"),
        ("x = dict(a=1)\nchange(x)", "line 2 changes settings by code"),
        ("x = dict(a=1)\n[x.update(a=2) for _ in range(1)]", "line 2 changes settings by code"),
        ("# nothing", "has no settings"),
        ("", "has no settings"),
        ("'''text'''", "has no settings"),
    ],
)  # fmt: skip
def test_settings_that_code_makes_are_not_dropped_in_silence(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read(tmp_path, text)


def test_functions_and_classes_in_the_file_do_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    text = "class A:\n    x = 2\n\ndef set(name):\n    global x\n    x = name\n\nx = 1\nassert x\nprint(x)\n"
    with caplog.at_level(logging.WARNING):
        assert parse_python_config(text, "c.py") == {"x": 1}
    assert caplog.messages == ["c.py: not plain data, skipped: line 9, line 10"]


def test_calls_that_can_change_no_setting_do_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    text = "from math import *\nimport os\nx = 'work'\ny = dict(a=1)\nmake(x)\nos.makedirs(x)\nprint(y)\n"
    with caplog.at_level(logging.WARNING):
        assert parse_python_config(text, "c.py") == {"x": "work", "y": {"a": 1}}
    assert caplog.messages == ["c.py: not plain data, skipped: line 5, line 6, line 7"]


def test_skipped_code_is_named_in_a_short_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        parse_python_config("x = 1\n" + "".join(f"a{i} = f()\n" for i in range(5000)), "c.py")
    (message,) = caplog.messages
    assert len(message) < 500 and message.endswith("a19 (line 21) and 4980 more")


@pytest.mark.parametrize(
    "text",
    [
        "a = [[[1 for a1 in range(200)] for b in range(200)] for c in range(200)]",
        "a = list(range(5000))\n" + "".join(f"b{i} = a + a\n" for i in range(200)),
        f"a = dict({', '.join(f'k{i}=1' for i in range(1000))})\n"
        + "".join(f"b{i} = a.copy()\n" for i in range(1500)),
        "a = {}\nb = {}\n" + "a = dict(x=a, y=a)\nb = dict(x=b, y=b)\n" * 60 + "a.update(b)",
        "a = {}\na['a'] = a",
    ],
)  # fmt: skip
def test_a_few_lines_do_not_make_very_many_values(text: str) -> None:
    with pytest.raises(ValueError, match=r"c\.py: (more than|not a Python file of settings: nested)"):
        parse_python_config(text, "c.py")


@pytest.mark.parametrize(
    "value", ["9 ** 9 ** 9", "2 ** 65", "(-8) ** 0.5", "0 ** -1", "1 / 0", "[0] * 10 ** 9", "0x" + "f" * 99]
)
def test_numbers_that_are_too_large_or_invalid_are_skipped(value: str) -> None:
    assert parse_python_config(f"b = 1\na = {value}", "c.py") == {"b": 1}
