# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A pickle's program runs on data alone; programs that take forever or exhaust memory are refused."""

import io
import pickle
import struct
from typing import Any

import pytest

from seg_node.models.files.pickle_file import read_pickle
from seg_node.models.files.pickle_machine import MAX_STEPS, PickleMachine, RefusedError

HEAD = b"\x80\x02"
# () in (), … 60 deep, each twice in the next one: its hash would take 2**60 steps
NEST = b")" + b"2\x86" * 60
# a text of a megabyte, stored as memo 1, then calls that expand it
LONG_TEXT = b"X" + struct.pack("<I", 1_000_000) + b"a" * 1_000_000 + b"q\x010"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85X\x01\x00\x00\x00b\x87R"


def run(program: bytes) -> Any:
    return PickleMachine({"x.f": lambda *arguments: list(arguments)}, 1000).run(io.BytesIO(program))


@pytest.mark.parametrize(
    "program",
    [
        b"}" + NEST + b"K\x01s.",
        b"(" + NEST + b"K\x01d.",
        b"}(" + NEST + b"K\x01u.",
        b"\x8f(" + NEST + b"\x90.",
        b"(" + NEST + b"\x91.",
        b"c__builtin__\nset\n](" + NEST + b"e\x85R.",
        b"c__builtin__\ndict\n](" + NEST + b"K\x01\x86e\x85R.",
        b"ccollections\nOrderedDict\n](" + NEST + b"K\x01\x86e\x85R.",
        b"cnumpy\ndtype\n" + NEST + b"\x85R.",
        b"c_codecs\nencode\nX\x01\x00\x00\x00a" + NEST + b"\x86R.",
        ARRAY + b"(K\x01" + NEST + b"cnumpy\ndtype\nX\x02\x00\x00\x00f4\x85R\x89X\x00\x00\x00\x00tb.",
    ],
)
def test_values_whose_hash_or_text_takes_for_ever_are_refused(program: bytes) -> None:
    with pytest.raises(RefusedError):
        read_pickle(HEAD + program)


def test_nested_values_that_nobody_looks_at_do_no_harm() -> None:
    assert read_pickle(HEAD + b"}X\x01\x00\x00\x00a" + NEST + b"s.").keys() == {"a"}


@pytest.mark.parametrize("key", ["text", 3, 2.5, None, True, b"bytes", ("a", 1, None)])
def test_plain_keys_are_read(key: Any) -> None:
    assert read_pickle(pickle.dumps({key: 1})) == {key: 1} and read_pickle(pickle.dumps({key})) == {key}


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (b"N" * (MAX_STEPS + 1) + b".", "more than 1000000 steps"),
        (b"]q\x01(" + b"N" * 50_000 + b"e0c__builtin__\nlist\nq\x020" + b"h\x02h\x01\x85R" * 30 + b".",
         "more than 1000000 steps"),
        (LONG_TEXT + b"c_codecs\nencode\nq\x020X\x06\x00\x00\x00latin1q\x030"
         + b"h\x02h\x01h\x03\x86R" * 9 + b".", "more of its data than it holds"),
        (LONG_TEXT + b"cnumpy\ndtype\nX\x02\x00\x00\x00u1\x85Rq\x020"
         + (ARRAY + b"(K\x01J@B\x0f\x00\x85h\x02\x89h\x01tb") * 9 + b".", "more of its data than it holds"),
        (b"\x8b" + struct.pack("<I", 100) + b"\x7f" * 100 + b".", "integer of more than 256 bits"),
        (b"r\xff\xff\xff\x7f.", "memory for"),
        (b"\x82\x01.", "uses EXT1"),
        (b"\x97.", "uses NEXT_BUFFER"),
        (b"K\x01Q.", "objects outside of it"),
        (b"K\x01)R.", "calls a int"),
        (b"NK\x01a.", "appends to a NoneType"),
        (b")K\x01K\x02s.", "sets entries of a tuple"),
        (b"](K\x01\x90.", "adds to a list"),
        (b"K\x01}b.", "sets the state of a int"),
        (b"]" * 200 + b"a" * 199 + b".", "more than 100 deep"),
    ],
)  # fmt: skip
def test_what_weights_have_no_need_of_is_refused_by_its_reason(program: bytes, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        read_pickle(HEAD + b"N" + program)


def test_every_way_of_calling_and_of_building_containers_is_followed() -> None:
    assert run(b"cx\nf\nK\x01K\x02\x86R.") == [1, 2]  # REDUCE
    assert run(b"cx\nf\n)\x81.") == []  # NEWOBJ
    assert run(b"(K\x01ix\nf\n.") == [1]  # INST
    assert run(b"(cx\nf\nK\x01K\x02o.") == [1, 2]  # OBJ
    assert run(b"\x8c\x01x\x8c\x01f\x93K\x05\x85R.") == [5]  # STACK_GLOBAL
    assert run(b"(K\x01K\x02l.") == [1, 2] and run(b"(K\x01K\x02d.") == {1: 2}
    assert run(b"(K\x01K\x02t.") == (1, 2) and run(b"K\x01K\x02K\x03\x87.") == (1, 2, 3)
    assert run(b"](K\x01K\x02e.") == [1, 2] and run(b"}(K\x01K\x02u.") == {1: 2}
    assert run(b"]K\x01a(K\x02K\x031.") == [1]  # POP_MARK
    assert run(b"]K\x01aK\x070.") == [1] and run(b"](0K\x01a.") == [1]  # POP, also of a mark


@pytest.mark.parametrize("program", [b"", b"N", b"0.", b"h\x05.", b"e.", b"K\x01a.", b"\x8c\xffx."])
def test_program_that_ends_early_or_takes_from_nothing_is_an_error(program: bytes) -> None:
    with pytest.raises((IndexError, KeyError, ValueError, EOFError)):
        run(program)
