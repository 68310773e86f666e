# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""YAML and Python configurations are read as data together with their base files, and never executed."""

import contextlib
import logging
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from seg_node.models.files.config_file import parse_python_config, read_config

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name.replace("_dot_", ".")).write_text(text)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}x", fullmatch=True), plain, max_size=4))
def test_plain_settings_of_a_python_file_are_what_python_makes_of_them(settings: dict[str, Any]) -> None:
    text = "\n".join(f"{name} = {value!r}" for name, value in settings.items())
    assert parse_python_config(text, "c.py") == settings


def test_yaml_is_changed_over_its_bases_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "zoo").mkdir()
    write(
        tmp_path,
        base_dot_yaml="MODEL: {MASK_ON: false, RPN: {NMS_THRESH: 0.7, IN: [a, b]}}\nINPUT: {FORMAT: BGR}",
    )
    write(
        tmp_path / "zoo",
        middle_dot_yaml="_BASE_: ../base.yaml\nMODEL: {MASK_ON: true, RPN: {IN: [c]}}",
        top_dot_yaml="_BASE_: middle.yaml\nMODEL: {WEIGHTS: w.pkl}\nINPUT: {FORMAT: RGB}",
    )
    assert read_config(tmp_path / "zoo/top.yaml") == {
        "MODEL": {"MASK_ON": True, "RPN": {"NMS_THRESH": 0.7, "IN": ["c"]}, "WEIGHTS": "w.pkl"},
        "INPUT": {"FORMAT": "RGB"},
    }


def test_later_bases_change_earlier_ones_and_may_be_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, a_dot_yaml="x: 1\ny: 1", b_dot_yaml="y: 2\nz: 2")
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub", c_dot_yaml="_BASE_: ['~/a.yaml', ../b.yaml]\nz: 3")
    assert read_config(tmp_path / "sub/c.yaml") == {"x": 1, "y": 2, "z": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("_BASE_: gone.yaml", r"gone\.yaml: no such configuration file, the base of .*c\.yaml"),
        ("_BASE_: c.yaml", r"c\.yaml: its base .*c\.yaml is based on it in turn"),
        ("_BASE_: around.yaml", r"around\.yaml: its base .*c\.yaml is based on it in turn"),
        ("_BASE_: https://example.org/a.yaml", "'https://example.org/a.yaml' is not a local file"),
        ("_BASE_: detectron2://a.yaml", "'detectron2://a.yaml' is not a local file; download it"),
        ("_BASE_: 3", "its base 3 is not a local file"),
        ("_BASE_: list.yaml", r"list\.yaml: holds a list"),
        ("_BASE_: flat.yaml\nMODEL: {A: 1}", r"c\.yaml: MODEL: its base has 'R50' where it has further keys"),
        ("- 1", r"c\.yaml: holds a list"),
        ("", r"c\.yaml: holds a NoneType"),
        ("a: [", r"c\.yaml: not a YAML file"),
        ("a: " + "[" * 3000, r"c\.yaml: not a YAML file"),
        ("a: &a {b: *a}", r"c\.yaml: not a YAML file"),
        (
            "a0: &a0 {}\n" + "".join(f"a{i + 1}: &a{i + 1} {{x: *a{i}, y: *a{i}}}\n" for i in range(60)),
            r"c\.yaml: more than 100000 values",
        ),
        ("a: !!python/object/apply:os.system ['touch hostile_was_here']", "python/object/apply:os.system"),
        ("a: !!python/name:os.system", "python/name:os.system"),
        ("a: !!python/object/new:os.system ['touch hostile_was_here']", "python/object/new:os.system"),
        ("a: !!python/module:antigravity", "python/module:antigravity"),
    ],
)
def test_yaml_that_does_not_fit_is_refused_by_name(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(
        tmp_path,
        c_dot_yaml=text,
        around_dot_yaml="_BASE_: c.yaml",
        list_dot_yaml="[1]",
        flat_dot_yaml="MODEL: R50",
    )
    files = {path.name for path in tmp_path.iterdir()}
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_config(Path("c.yaml"))
    assert {path.name for path in tmp_path.iterdir()} == files


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.yaml", pickle.dumps({"MODEL": 1}), r"a pickle, .*open\(.config\.yaml., .w.\)\.write\(cfg\.dump"),
        ("c.pickle", pickle.dumps({"MODEL": 1}, 2), r"a pickle, .*cfg\.dump\(\)"),
        ("c.yaml", b"ccopy_reg\n_reconstructor\n(cconfig\nCfgNode\n.", r"a pickle, .*cfg\.dump\(\)"),
        ("c.py", b"PK\x03\x04data", "are weights and config swapped"),
        ("c.yaml", b"\x20\0\0\0\0\0\0\0{\"a\": 1}", "are weights and config swapped"),
        ("c.yaml", b"!!python/object/new:detectron2.config.config.CfgNode\ndictitems: {VERSION: 2}\n",
         r"is a CfgNode written by yaml\.dump.*cfg\.dump\(\)"),
        ("c.yaml", b"a: !!python/object:numpy.float64 {}", "python/object:numpy.float64 .*write plain"),
        ("c.yaml", b"# only comments\n", "it has no settings"),
        ("c.yaml", b"{}", "has no settings"),
        ("c.yaml", b"MODEL: {RPN: {}, X: [], Y: ~}", "has no settings"),
        ("c.py", b"model = dict()", "has no settings"),
        ("c.yaml", b"---\n", "it has no settings"),
        ("c.yaml", b"{~: 1}", "the key None is not a string"),
        ("c.yaml", b"a: \xff", "not a YAML file: it is not a text in UTF-8"),
        ("c.yaml", b"a: " + b"x" * 300_000, "larger than 262144 bytes"),
        ("c.yaml", b"_BASE_: /etc/passwd", r"its base /etc/passwd is none of \.yaml, \.yml, \.json, \.py"),
    ],
)  # fmt: skip
def test_file_of_another_kind_is_called_by_its_name_with_the_cure(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}: .*{message}") as raised:
        read_config(tmp_path / name)
    assert "\n" not in str(raised.value)


def test_the_number_of_base_files_is_limited(tmp_path: Path) -> None:
    for i in range(30):
        (tmp_path / f"c{i}.yaml").write_text(f"_BASE_: [c{i + 1}.yaml, c{i + 1}.yaml]\na{i}: {i}")
    (tmp_path / "c30.yaml").write_text("x: 1")
    assert read_config(tmp_path / "c26.yaml") == {"x": 1, "a29": 29, "a28": 28, "a27": 27, "a26": 26}
    for name in ("c0.yaml", "wide.yaml"):
        (tmp_path / "wide.yaml").write_text(f"_BASE_: [{', '.join(['c30.yaml'] * 3000)}]")
        with pytest.raises(ValueError, match=rf"{name}: is based on more than 100 files"):
            read_config(tmp_path / name)
    large = "x: " + "a" * 100_000
    for i in range(3):
        (tmp_path / f"l{i}.yaml").write_text(large + (f"\n_BASE_: l{i + 1}.yaml" if i < 2 else ""))
    with pytest.raises(ValueError, match=r"l2\.yaml: larger than"):
        read_config(tmp_path / "l0.yaml")


def test_byte_order_mark_and_numbers_as_keys_are_read(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("a: {1: x}", "utf-8-sig")
    (tmp_path / "c.py").write_text("a = {1: 'x'}", "utf-8-sig")
    assert read_config(tmp_path / "c.yaml") == read_config(tmp_path / "c.py") == {"a": {"1": "x"}}


def test_missing_and_binary_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.yaml: no such configuration file$"):
        read_config(tmp_path / "absent.yaml")
    for name, kind in (("c.yaml", "YAML"), ("c.py", "Python")):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ValueError, match=rf"{name}: not a {kind} file"):
            read_config(tmp_path / name)


def test_tuples_in_a_dumped_configuration_are_lists(tmp_path: Path) -> None:
    content = {"STEPS": (1, 2), "B": {"W": ((10.0, 5.0), [1])}}
    write(tmp_path, c_dot_yaml=yaml.dump(content))
    assert "!!python/tuple" in (tmp_path / "c.yaml").read_text()
    assert read_config(tmp_path / "c.yaml") == {"STEPS": [1, 2], "B": {"W": [[10.0, 5.0], [1]]}}


def test_python_configuration_of_mmdetection_is_read_as_mmcv_reads_it(tmp_path: Path) -> None:
    write(
        tmp_path,
        models_dot_py="""
norm = dict(mean=[123.675, 116.28, 103.53], to_rgb=True)
model = dict(
    type='SOLO',
    backbone=dict(type='ResNet', depth=50, style='pytorch'),
    mask_head=dict(num_grids=[40, 36], num_classes=80))
test_pipeline = [dict(type='Resize', scale=(1333, 800)), dict(type='Normalize', **norm)]
""",
        runtime_dot_py="""
workflow = [('train', 1)]
lr = 0.01 * 2 - -1 / 4
root = 'data/'
file = root + 'a.json'
device_ids = range(3)
""",
        solo_dot_py="""
_base_ = ['./models.py', './runtime.py']
grids = (20, 12)
model = dict(
    backbone=dict(_delete_=True, type='ResNeXt', groups=64),
    mask_head=dict(num_grids=list_of(grids), num_classes=7 // 2),
    test_cfg={'score_thr': .1, **dict(nms_pre=500)})
both = [1] + grids + [2]
photo = dict(mean=both[1], backend_args={{_base_.backend_args}})
""",
    )  # fmt: skip
    assert read_config(tmp_path / "solo.py") == {
        "norm": {"mean": [123.675, 116.28, 103.53], "to_rgb": True},
        "model": {
            "type": "SOLO",
            "backbone": {"type": "ResNeXt", "groups": 64},
            "mask_head": {"num_grids": [40, 36], "num_classes": 3},
            "test_cfg": {"score_thr": 0.1, "nms_pre": 500},
        },
        "test_pipeline": [
            {"type": "Resize", "scale": [1333, 800]},
            {"type": "Normalize", "mean": [123.675, 116.28, 103.53], "to_rgb": True},
        ],
        "workflow": [["train", 1]],
        "lr": 0.27,
        "root": "data/",
        "file": "data/a.json",
        "device_ids": [0, 1, 2],
        "grids": [20, 12],
        "both": [1, 20, 12, 2],
        "photo": {"mean": 20},
    }


HOSTILE = """
import os
from os import system
os.system('touch hostile_was_here')
a = os.system('touch hostile_was_here')
b = [system('touch hostile_was_here') for _ in range(3)]
c = dict(kept=1, d=__import__('os').system('touch hostile_was_here'))
e = (lambda: system('touch hostile_was_here'))()
f = f"{system('touch hostile_was_here')}"
class G(metaclass=print): pass
@system
def h(x=system('touch hostile_was_here')): pass
i = range(10**10), range(10000000000)
j = 9999999999999999999999 * 9
k = [0] * 10**10
l = 1 / 0
m = {[1]: 2}
n = open('hostile_was_here', 'w')
o = c.d
p = c['d']
q = kept[0][0]
kept = c
c = unknown
"""


def test_code_is_skipped_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert parse_python_config(HOSTILE, "w.pth: config") == {"kept": {"kept": 1}}
    assert not os.listdir()
    (message,) = caplog.messages
    assert message.startswith(
        "w.pth: config: not plain data, skipped: line 4, a (line 5), b (line 6), d (line 7)"
    )
    assert "c (line 23)" in message


@pytest.mark.parametrize("start", ["[0, 1]", "'text'", "99"])
def test_values_do_not_grow_without_end(start: str) -> None:
    operator = "*" if start == "99" else "+"
    doubling = f"a = a {operator} a\n"
    assert "a" in parse_python_config(f"a = {start}\n" + doubling, "c.py")
    assert "a" not in parse_python_config(f"a = {start}\n" + doubling * 60, "c.py")


def test_names_within_names_do_not_stand_for_billions_of_values() -> None:
    with pytest.raises(ValueError, match=r"c\.py: more than 100000 values"):
        parse_python_config("a = {}\n" + "a = dict(b=a, c=a)\n" * 60, "c.py")


def test_an_endless_sum_is_skipped_or_refused() -> None:
    with contextlib.suppress(ValueError):  # Python's own limit depends on its version
        assert parse_python_config("a = 1" + " + 1" * 3000 + "\nb = 1", "c.py") == {"b": 1}


@pytest.mark.parametrize("text", ["a = ", "a = \0", "a = " + "(" * 5000, "\ta = 1"])
def test_text_that_is_not_python_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "c.py").write_text(text)
    with pytest.raises(ValueError, match=r"c\.py: not a Python file"):
        read_config(tmp_path / "c.py")
