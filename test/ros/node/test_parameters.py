# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""One table of parameters: config/, docs/parameters.md and launch files must say the same."""

from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

from seg_node.ros.node.options import Options
from seg_node.ros.node.parameters import PARAMETERS, markdown_table
from seg_node.types import SegmentOptions

ROOT = Path(__file__).resolve().parents[3]


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in tree.items():
        values.update(flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return values


def test_the_parameter_file_has_every_parameter_with_its_default() -> None:
    tree = yaml.safe_load((ROOT / "config/seg_node.yaml").read_text())
    given = flat(tree["/**"]["ros__parameters"])
    table = {
        row.name: list(row.default) if isinstance(row.default, tuple) else row.default for row in PARAMETERS
    }
    assert given == table
    assert {name: type(value) for name, value in given.items()} == {n: type(v) for n, v in table.items()}


def test_every_row_has_its_field_of_options_in_the_rows_order_and_type() -> None:
    types = get_type_hints(Options)
    assert [field.name for field in fields(Options)] == [row.field for row in PARAMETERS]
    for row in PARAMETERS:
        wanted = types[row.field]
        if get_origin(wanted) is Literal:
            assert row.default in get_args(wanted) == row.choices
        elif get_origin(wanted) is tuple:
            assert type(row.default) is tuple and type(row.default[0]) is get_args(wanted)[0], row.name
        else:
            assert type(row.default) is wanted, row.name


def test_the_checkpoints_own_numbers_are_options_of_the_model() -> None:
    assert {row.field for row in PARAMETERS if row.own} <= {field.name for field in fields(SegmentOptions)}
    assert all(row.limits and row.limits[0] == -1 for row in PARAMETERS if row.own)


def test_the_documents_have_the_table() -> None:
    assert markdown_table() in (ROOT / "docs/parameters.md").read_text()


def test_the_launch_file_takes_its_parameters_from_the_parameter_file_alone() -> None:
    text = (ROOT / "launch/seg_node.launch.py").read_text()
    assert 'str(share / "config/seg_node.yaml")' in text
    named_in_launch = [row.name for row in PARAMETERS if f'"{row.name}"' in text]
    assert named_in_launch == []
