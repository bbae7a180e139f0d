"""Calls as Python source."""

from __future__ import annotations

from decimal import Decimal

import pytest

from preprocess.readers.native import Unreadable
from preprocess.readers.understand.python_calls import parse_calls
from preprocess.records import Tool

TOOLS = [
    Tool(name="shop.find", description="", parameters={"properties": {"place": {}, "open": {}}}),
    Tool(name="one.same", description="", parameters={"properties": {"a": {}}}),
    Tool(name="two.same", description="", parameters={"properties": {"b": {}}}),
    Tool(name="bare", description="", parameters={}),
]


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        (
            "r = nvdlib.searchCPE(keywordSearch = 'Exchange 2010', limit = 2)",
            [("nvdlib.searchCPE", {"keywordSearch": "Exchange 2010", "limit": 2})],
        ),
        (
            'vt_add(ip = "192.0.2.1", data = {"type": "comment", "tags": ["#a", ("b", -1)]})',
            [
                (
                    "vt_add",
                    {"ip": "192.0.2.1", "data": {"type": "comment", "tags": ["#a", ["b", -1]]}},
                )
            ],
        ),
        (
            'store.find(name="x", open=true, no=null)',
            [("store.find", {"name": "x", "open": True, "no": None})],
        ),
        (
            "convert(from='from=1', to=\"class = 2\", class = True)",
            [("convert", {"from": "from=1", "to": "class = 2", "class": True})],
        ),
        ("[f(a=1), g()]", [("f", {"a": 1}), ("g", {})]),
        ("f(a=1); g(a=1)\nf(a=1)", [("f", {"a": 1}), ("g", {"a": 1}), ("f", {"a": 1})]),
        ("  f(a='x'\n    'y')\n", [("f", {"a": "xy"})]),
        ("f(a=1, **{'two words': 2})", [("f", {"a": 1, "two words": 2})]),
        ("f(a=1.50000000000000000001)", [("f", {"a": Decimal("1.50000000000000000001")})]),
        ("shop.find('Paris', open=True)", [("shop.find", {"place": "Paris", "open": True})]),
        ("find('Paris')", [("find", {"place": "Paris"})]),
    ],
)
def test_calls_are_understood(text: str, calls: list[object]) -> None:
    assert parse_calls(text, TOOLS) == calls


@pytest.mark.parametrize(
    "text",
    [
        "",
        "find",
        "'find()'",
        "find(place=Berkeley)",
        "find(place=where())",
        "find(place=f'{here}')",
        "find(place=1 + 2)",
        "find(place=[*others])",
        "find(**others)",
        "find(*others)",
        "find('a', 'b', 'c')",
        "bare('a')",
        "unknown('a')",
        "same('a')",
        "find('a', place='b')",
        "find(place='a', place='b')",
        "find()()",
        "find(from='a', from='b')",
        "find(from==1)",
        "find(from)",
        "find()[0]",
        "a.b = find()",
        "a = b = find()",
        "await find()",
        "import os",
        "if True: find()",
        '[find(), "x"]',
        'getmap("z" = 3,  "x" = 4)',
        "find(place='x'",
        "find(x=1e999j)",
        "find(" * 5_000,
        "find(a='\x00')",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Unreadable, match=r"^invalid_call_text$"):
        parse_calls(text, TOOLS)
