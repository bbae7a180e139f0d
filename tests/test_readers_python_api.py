"""Tool documentation of Python modules: pages, schemas, and what is public."""

import ast
import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path, PurePosixPath
from textwrap import dedent

import pytest

from preprocess.readers import READERS
from preprocess.readers.python_schema import literal_default, schema_of_annotation
from preprocess.records import Outcome, Record, encode

READER = READERS["python_api"]
STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))


def outcomes(folder: Path, source: str | bytes, name: str = "pkg/mod.py") -> list[Outcome]:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "__init__.py").touch()
    path.write_bytes(source if isinstance(source, bytes) else dedent(source).encode())
    return list(READER.read(path, name))


def records(folder: Path, source: str, name: str = "pkg/mod.py") -> list[Record]:
    return [record for outcome in outcomes(folder, source, name) for record in outcome.records]


def page(folder: Path, source: str) -> str:
    (record,) = records(folder, source)
    return record.text


FUNCTION = '''
    def resize(image: bytes, /, width: int, *sizes: float, mode: Literal["a", "b"] = "a",
               fill: str | None = None, tags: list[str] = [], box: "Box" = Box(), **extra: bool):
        """Resize an image.

        It keeps the
        ratio.

        Args:
            image: The image,
                encoded.
            width (int): Pixels.

        Returns:
            bytes: The new image.

        Raises:
            ValueError: No pixels.
        """
'''


def test_a_function_becomes_a_page_and_a_tool(tmp_path: Path) -> None:
    (record,) = records(tmp_path, FUNCTION)
    assert record.text == dedent(
        """\
        # pkg.mod.resize

        ```python
        def resize(
            image: bytes,
            /,
            width: int,
            *sizes: float,
            mode: Literal['a', 'b'] = 'a',
            fill: str | None = None,
            tags: list[str] = [],
            box: Box = Box(),
            **extra: bool,
        ): ...
        ```

        Resize an image.

        It keeps the
        ratio.

        **Parameters**

        - `image` (`bytes`): The image,
          encoded.
        - `width` (`int`): Pixels.

        **Returns**

        - `bytes`: The new image.

        **Raises**

        - `ValueError`: No pixels.
        """
    )
    line = json.loads(encode(record))
    del line["text"]
    assert line == {
        "id": "python_api/pkg/mod.py#0",
        "kind": "tool_documentation",
        "source": "python_api",
        "license": "unknown",
        "origin": {"path": "pkg/mod.py", "record": 0},
        "tools": [
            {
                "name": "pkg.mod.resize",
                "description": "Resize an image.",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "image": {"x-python-type": "bytes", "description": "The image, encoded."},
                        "width": {"type": "integer", "description": "Pixels."},
                        "sizes": {"type": "array", "items": {"type": "number"}},
                        "mode": {"enum": ["a", "b"], "default": "a"},
                        "fill": {"type": ["string", "null"], "default": None},
                        "tags": {"type": "array", "items": {"type": "string"}, "default": []},
                        "box": {"x-python-type": "Box"},
                    },
                    "required": ["image", "width"],
                    "additionalProperties": {"type": "boolean"},
                },
            }
        ],
        "meta": {"module": "pkg.mod", "object": "function", "lines": [2, 19]},
    }


def test_a_class_brings_its_constructor_attributes_and_public_methods(tmp_path: Path) -> None:
    source = '''
        class Queue(Base[int], metaclass=Meta):
            """A queue."""

            limit: int = 3
            """How many fit."""

            def __init__(self, name: str) -> None:
                """Open it.

                :param name: Its name.
                """
                self.hidden = 1

            @property
            def size(self) -> int:
                """Entries now."""

            @classmethod
            async def make(cls, n: int = 1) -> "Queue": "Make one."

            @staticmethod
            def check(value: str) -> bool: ...

            def _private(self) -> None: ...
    '''
    (record,) = records(tmp_path, source)
    assert record.text == dedent(
        """\
        # pkg.mod.Queue

        ```python
        class Queue(Base[int], metaclass=Meta):
            def __init__(self, name: str) -> None: ...
        ```

        A queue.

        Open it.

        **Parameters**

        - `name` (`str`): Its name.

        **Attributes**

        - `limit = 3` (`int`): How many fit.
        - `size` (`int`): Entries now.

        ## Queue.make

        ```python
        @classmethod
        async def make(cls, n: int = 1) -> Queue: ...
        ```

        Make one.

        ## Queue.check

        ```python
        @staticmethod
        def check(value: str) -> bool: ...
        ```
        """
    )
    tools = {tool.name: tool.parameters for tool in record.tools}
    assert list(tools) == ["pkg.mod.Queue", "pkg.mod.Queue.make", "pkg.mod.Queue.check"]
    name = {"type": "string", "description": "Its name."}
    assert tools["pkg.mod.Queue"]["properties"] == {"name": name}
    assert tools["pkg.mod.Queue.make"]["properties"] == {"n": {"type": "integer", "default": 1}}
    assert tools["pkg.mod.Queue.check"]["properties"] == {"value": {"type": "string"}}
    assert record.meta["object"] == "class"


@pytest.mark.parametrize(
    ("source", "constructor"),
    [
        ('class A(B):\n    "a"', {"type": "object", "properties": {}}),
        (
            'class A:\n    "a"',
            {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
        ),
        (
            "import dataclasses\n@dataclasses.dataclass\n"
            'class A:\n    "a"\n    x: int\n    y: str = "q"',
            {
                "type": "object",
                "properties": {"x": {"type": "integer"}, "y": {"type": "string", "default": "q"}},
                "required": ["x"],
                "additionalProperties": False,
            },
        ),
        (  # the fields of B are in another file
            'from dataclasses import dataclass\n@dataclass\nclass A(B):\n    "a"\n    x: int',
            {"type": "object", "properties": {}},
        ),
    ],
)
def test_a_constructor_is_stated_only_where_the_file_shows_it(
    tmp_path: Path, source: str, constructor: dict[str, object]
) -> None:
    (record,) = records(tmp_path, source)
    assert record.tools[0].parameters == constructor


def test_the_constructor_of_a_dataclass_follows_its_fields(tmp_path: Path) -> None:
    source = """
        @dataclass(frozen=True)
        class A(Generic[T]):
            "An A."
            last: int = field(default=3, kw_only=True)
            first: "str | None"
            shared: ClassVar[int] = 1
            made: int = field(init=False)
            seed: InitVar[int] = 0
            items: list[int] = field(default_factory=list)
            "What it holds."
            _: KW_ONLY
            named: float = 1.5
    """
    (record,) = records(tmp_path, source)
    assert (
        "    def __init__(\n"
        "        self,\n"
        "        first: str | None,\n"
        "        seed: int = 0,\n"
        "        items: list[int] = list(),\n"
        "        *,\n"
        "        last: int = 3,\n"
        "        named: float = 1.5,\n"
        "    ) -> None: ...\n"
    ) in record.text
    properties = record.tools[0].parameters["properties"]
    assert list(properties) == ["first", "seed", "items", "last", "named"]
    assert properties["items"]["description"] == "What it holds."
    assert record.text.count("What it holds.") == 1


def test_numpy_docstrings_give_types_where_the_signature_has_none(tmp_path: Path) -> None:
    source = '''
        def f(x, axis=None):
            """Sum.

            Parameters
            ----------
            x : array_like
                Data.
            axis : int, optional
                Which.

            See Also
            --------
            g : Another.
            """
    '''
    (record,) = records(tmp_path, source)
    assert record.tools[0].parameters["properties"] == {
        "x": {"x-python-type": "array_like", "description": "Data."},
        "axis": {"type": "integer", "description": "Which.", "default": None},
    }
    assert "- `axis` (`int`, default `None`): Which.\n\n**See Also**\n\ng : Another." in record.text


def test_a_docstring_that_its_parser_would_cut_stands_as_written(tmp_path: Path) -> None:
    source = '''
        def f(a):
            """Do.

            Args:
                a: First.
                this line has no name and would be lost
            """
    '''
    assert "Args:\n    a: First.\n    this line has no name and would be lost" in page(
        tmp_path, source
    )


def test_documentation_beside_parameters_leaves_the_signature(tmp_path: Path) -> None:
    text = page(tmp_path, 'def f(a: Annotated[int, Doc("""\n  The a.\n  """)] = 1): "Do."')
    assert "def f(a: int = 1): ..." in text
    assert "**Parameters**\n\n- `a`: The a.\n" in text


def test_all_decides_what_is_public_and_else_the_underscore(tmp_path: Path) -> None:
    body = 'def a(): "a"\ndef _b(): "b"\nclass C: "c"\nfrom x import d\n'
    names = [r.tools[0].name for r in records(tmp_path, body)]
    assert names == ["pkg.mod.a", "pkg.mod.C"]
    names = [r.tools[0].name for r in records(tmp_path, body + '__all__ = ["_b", "d", "C"]')]
    assert names == ["pkg.mod._b", "pkg.mod.C"]


def test_a_definition_beats_an_import_of_its_name(tmp_path: Path) -> None:
    source = """
        def a(x: int) -> int: "Slow."
        try:
            from _fast import a
        except ImportError:
            pass
        if v:
            from new import b
        else:
            def b(x: int | None) -> list[str]: "Old."
    """
    first, second = records(tmp_path, source)
    assert first.text.endswith("Slow.\n")
    assert "def b(x: int | None) -> list[str]: ..." in second.text


def test_overloads_stand_together_also_without_an_implementation(tmp_path: Path) -> None:
    source = """
        from typing import overload
        @overload
        def f(a: int) -> int: ...
        @overload
        def f(a: str) -> str: ...
    """
    assert "@overload\ndef f(a: int) -> int: ...\n@overload\ndef f(a: str) -> str: ..." in page(
        tmp_path, source
    )


def test_bare_names_are_dropped_as_undocumented(tmp_path: Path) -> None:
    source = (
        'def f(a, b=1): pass\nclass C:\n    def g(self, x): pass\ndef h(a: int): pass\ndef i(): "i"'
    )
    assert [o.dropped for o in outcomes(tmp_path, source)] == [
        ("undocumented",),
        ("undocumented",),
        (),
        (),
    ]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b"print 'python 2'\n", "syntax_error"),
        (b"x = " + b"(" * 500 + b")" * 500, "syntax_error"),
        (b"x = '\xff'\n", "invalid_utf8"),
        (b"x = 1\0", "binary"),
    ],
)
def test_a_file_that_does_not_parse_is_one_rejection(
    tmp_path: Path, source: bytes, reason: str
) -> None:
    (outcome,) = outcomes(tmp_path, source)
    assert outcome.rejection is not None
    assert (outcome.rejection.reason, outcome.rejection.raw) == (reason, source)


def test_escapes_that_utf8_cannot_hold_stay_escapes(tmp_path: Path) -> None:
    (record,) = records(tmp_path, "def f(a='\\ud800'):\n    'Takes \\ud800.'")
    assert "Takes \\ud800." in record.text
    assert record.tools[0].parameters["properties"] == {"a": {}}
    assert b"Takes" in encode(record)


def test_the_declared_encoding_of_a_module_is_followed(tmp_path: Path) -> None:
    (outcome,) = outcomes(tmp_path, b"# coding: latin-1\ndef f(): 'caf\xe9'\n")
    assert outcome.records[0].text.endswith("café\n")


def test_tests_and_other_files_are_not_accepted() -> None:
    no = ["a/tests/b.py", "test/b.py", "test_a.py", "conftest.py", "a.pyx", "__pycache__/a.py"]
    yes = ["a/b.py", "a/__init__.pyi", "a/_internal.py", "testing_tools.py"]
    assert [n for n in [*no, *yes] if READER.accepts(PurePosixPath(n))] == yes


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        ("int", {"type": "integer"}),
        ("Any", {}),
        ("typing.Optional[float]", {"type": ["number", "null"]}),
        ("Union[int, str, None]", {"type": ["integer", "string", "null"]}),
        ("Optional[List[int]]", {"type": ["array", "null"], "items": {"type": "integer"}}),
        (
            "int | list[str]",
            {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "string"}}]},
        ),
        ("dict[str, bool]", {"type": "object", "additionalProperties": {"type": "boolean"}}),
        ("dict[int, bool]", {"x-python-type": "dict[int, bool]"}),
        ("Literal['a', 1, None]", {"enum": ["a", 1, None]}),
        ("Optional[Literal['a']]", {"enum": ["a", None]}),
        ("'str | None'", {"type": ["string", "null"]}),
        ("Annotated[int, Gt(0)]", {"type": "integer"}),
        ("int | Path", {"x-python-type": "int | Path"}),
        ("tuple[int, int]", {"x-python-type": "tuple[int, int]"}),
        ("list of str", {"x-python-type": "list of str"}),
        ("int | Any", {}),
    ],
)
def test_only_certain_types_are_mapped(annotation: str, schema: dict[str, object]) -> None:
    assert schema_of_annotation(annotation) == schema


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("-1.5", (True, -1.5)),
        ("None", (True, None)),
        ("{'a': [1]}", (True, {"a": [1]})),
        ("(1, 2)", (False, None)),
        ("b'x'", (False, None)),
        ("1e999", (False, None)),
        ("{1: 2}", (False, None)),
        ("'\\ud800'", (False, None)),
        ("f()", (False, None)),
    ],
)
def test_only_exact_literals_are_defaults(source: str, expected: tuple[bool, object]) -> None:
    assert literal_default(source) == expected


def assert_sound(record: Record) -> None:
    line = json.loads(encode(record))
    assert line["text"].strip()
    for tool in line["tools"]:
        parameters = tool["parameters"]
        assert parameters["type"] == "object"
        assert set(parameters.get("required", ())) <= set(parameters["properties"])
        json.dumps(parameters, allow_nan=False)
    signature = re.search(r"^```python\n(.*?)\n```$", line["text"], re.DOTALL | re.MULTILINE)
    assert signature is not None
    ast.parse(signature[1])


def test_pages_of_the_standard_library_are_sound() -> None:
    paths = sorted(STANDARD_LIBRARY.glob("*.py"))[::4]
    found = [r for p in paths for o in READER.read(p, p.name) for r in o.records]
    assert len(found) > 200
    for record in found:
        assert_sound(record)
        assert record.license == "PSF-2.0"


@pytest.mark.slow
def test_pages_of_everything_installed_are_sound() -> None:
    root = Path(sysconfig.get_path("purelib"))
    for path in sorted(root.rglob("*.py*")):
        relative = path.relative_to(root).as_posix()
        if READER.accepts(PurePosixPath(relative)):
            for outcome in READER.read(path, relative):
                for record in outcome.records:
                    assert_sound(record)


def test_bytes_do_not_depend_on_hash_seed_or_locale() -> None:
    program = (
        "import sys; from pathlib import Path; from preprocess.readers import READERS\n"
        "from preprocess.records import encode\n"
        "for name in ('argparse.py', 'functools.py', 'logging/__init__.py'):\n"
        "    for o in READERS['python_api'].read(Path(sys.argv[1]) / name, name):\n"
        "        for r in o.records: sys.stdout.buffer.write(encode(r))\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program, str(STANDARD_LIBRARY)],
            env={"PYTHONHASHSEED": seed, "LC_ALL": locale, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed, locale in (("1", "C"), ("2", "C.UTF-8"))
    ]
    assert runs[0] == runs[1]
    assert len(runs[0]) > 50_000
