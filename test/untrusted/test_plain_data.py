# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Untrusted texts become plain data of bounded size."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from seg_node.untrusted.plain_data import MAX_YAML_BYTES, parse_yaml, read_json, read_text

MERGES = "a0: &a0 {k: v}\n" + "".join(f"a{i + 1}: &a{i + 1} {{<<: [*a{i}, *a{i}]}}\n" for i in range(40))
WIDE = f"a: &a {{{', '.join(f'k{i}: 1' for i in range(2000))}}}\nb: {{<<: [{', '.join(['*a'] * 2000)}]}}"


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("a: 1\nb: [2, 0x10, 0o7, 1_000, -5]", {"a": 1, "b": [2, 16, "0o7", 1000, -5]}),
        ("a: [1.5, 1e3, 1.0e+3, .5, -.inf]", {"a": [1.5, "1e3", 1000.0, 0.5, -float("inf")]}),
        ("a: [yes, no, ~, null, '', \"x\"]", {"a": [True, False, None, None, "", "x"]}),
        ("a: 2001-12-14\nb: 2001-13-45", {"a": "2001-12-14", "b": "2001-13-45"}),
        ("a: 1:30\nb: 1:30.5", {"a": "1:30", "b": "1:30.5"}),  # YAML 1.1 would read 90
        ("a: !!python/tuple [1, [2]]", {"a": [1, [2]]}),
        ("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}", {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}),
        ("a: &a {x: 1}\nb: {<<: [*a, {x: 2, z: 3}]}", {"a": {"x": 1}, "b": {"x": 1, "z": 3}}),
        ("a: &a [1]\nb: *a", {"a": [1], "b": [1]}),
        ('{"a": [1, {"b": null}]}', {"a": [1, {"b": None}]}),
        ("", None),
    ],
)
def test_plain_values_are_read(text: str, content: Any) -> None:
    assert parse_yaml(text, "c.yaml") == content


@pytest.mark.parametrize("limit", [900, 20_000])
def test_a_deep_file_is_refused_whatever_the_recursion_limit_is(limit: int) -> None:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(limit)
    try:
        with pytest.raises(ValueError, match="nested more than 100 deep"):
            parse_yaml("[" * 900, "c.yaml")
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MERGES, r"more than 100000 values are merged by <<"),
        (WIDE, r"more than 100000 values are merged by <<"),
        ("a: &a\n  <<: *a\n  b: 1\nc: &c {d: *c}", "nested more than 100 deep"),
        ("a: &a [*a]", "nested more than 100 deep"),
        ("[" * 900, "nested more than 100 deep"),
        ("- " * 50_000, "nested more than 100 deep"),
        ("a: 1" + "0" * 50, "an integer of 51 characters"),
        ("a: 1" + "0" * 30, "an integer of more than 63 bits"),
        ("a: 0x" + "f" * 5000, "an integer of 5002 characters"),
        ("a: !!bool foo", "a value is not of its type"),
        ("a: !!float x", "a value is not of its type"),
        ("a: !!int", "a value is not of its type"),
        ("a: !!timestamp foo", "timestamp is not plain data"),
        ("a: !!set {x, y}", "set is not plain data"),
        ("a: !!omap [x: 1]", "omap is not plain data"),
        ("a: !!pairs [x: 1]", "pairs is not plain data"),
        ('a: !!binary "@@"', "binary is not plain data"),
        ("a: !mine 1", "!mine is not plain data"),
        ("? [1, 2]\n: 3", "unhashable key"),
        ("? !!python/tuple [1, 2]\n: 3", "unhashable key"),
        ("{true: 1}", "the key True is not a string"),
        ("{1.5: 1}", "the key 1.5 is not a string"),
        ("{~: 1}", "the key None is not a string"),
        ("a: \0", "the character .* is not allowed"),
        ("a: 1\n---\nb: 2", "another document"),
        ("a: *b", "undefined alias"),
        ("a:\n\t- b", "cannot start any token"),
    ],
)
def test_data_that_are_not_plain_are_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^c\.yaml: (not a YAML file.*|has )?.*{message}") as raised:
        parse_yaml(text, "c.yaml")
    assert "\n" not in str(raised.value)


def test_texts_are_utf_8_and_not_too_large(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes("größe: 1".encode("utf-8-sig"))
    assert read_text(path, 100) == "größe: 1"
    for encoding in ("utf-16", "latin1"):
        path.write_bytes("größe: 1".encode(encoding))
        with pytest.raises(ValueError, match=r"c\.yaml: not a text in UTF-8 .* at byte \d"):
            read_text(path, 100)
    path.write_bytes(b"a" * (MAX_YAML_BYTES + 1))
    with pytest.raises(ValueError, match=rf"c\.yaml: larger than {MAX_YAML_BYTES} bytes"):
        read_text(path, MAX_YAML_BYTES)


def test_json_is_read_within_the_same_limits(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text('{"a": [1, 2.5, null]}', "utf-8-sig")
    assert read_json(path) == {"a": [1, 2.5, None]}
    for text, message in (
        ("[1]", "holds a list, expected keys with values"),
        ("{", "not a JSON file"),
        ('{"a": NaN}', "not a JSON file: NaN is not a number"),
        ('{"a": -Infinity}', "not a JSON file"),
        ('{"a": 1e999}', "too large a number"),
        ('{"a": 1' + "0" * 5000 + "}", "not a JSON file"),
        ('{"a": 1' + "0" * 30 + "}", "an integer of more than 63 bits"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "not a JSON file|nested more than"),
        (json.dumps({"a": [0] * 100_001}), "more than 100000 values"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=rf"c\.json: .*({message})"):
            read_json(path)
    with pytest.raises(FileNotFoundError, match=r"absent\.json: no such file"):
        read_json(tmp_path / "absent.json")


def test_repeated_keys_are_refused_on_request() -> None:
    text = "a: &one {k: 1}\nb: {<<: *one, k: 2}\nc: {<<: *one}\nd: *one\ne: [{k: 3}, {k: 4}]"
    expected = {"a": {"k": 1}, "b": {"k": 2}, "c": {"k": 1}, "d": {"k": 1}, "e": [{"k": 3}, {"k": 4}]}
    assert parse_yaml(text, "x", unique_keys=True) == expected  # a mapping may replace what it merges
    assert parse_yaml("a: {k: 1, k: 2}", "x") == {"a": {"k": 2}}
    with pytest.raises(ValueError, match=r"^x: not a YAML .* the key k is in one mapping twice \(line 2\)"):
        parse_yaml("a: 1\nb: {k: 1, k: 2}", "x", unique_keys=True)
