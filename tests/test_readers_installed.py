"""Whose a file is: import roots, module names, licences; and the table of readers."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from preprocess.readers import READERS
from preprocess.readers.installed import license_of_file, license_of_metadata, parse_metadata
from preprocess.readers.python_api import module_name


def install(root: Path, name: str, metadata: str, files: list[str]) -> None:
    folder = root / f"{name}-1.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Name: {name}\n{metadata}\n")
    (folder / "RECORD").write_text("".join(f"{file},sha256=x,1\n" for file in files))
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


@pytest.mark.parametrize(
    ("metadata", "license_"),
    [
        ("License-Expression: MIT AND  Apache-2.0", "MIT AND Apache-2.0"),
        ("License: bsd-3-clause", "BSD-3-Clause"),
        ("License: Copyright 2001 by someone", "unknown"),
        ("Classifier: License :: OSI Approved :: MIT License", "MIT"),
        ("Classifier: License :: OSI Approved :: Apache Software License", "Apache-2.0"),
        (
            "Classifier: License :: OSI Approved\n"
            "Classifier: License :: OSI Approved :: ISC License (ISCL)",
            "ISC",
        ),
        ("Classifier: License :: OSI Approved :: BSD License", "unknown"),
        (
            "Classifier: License :: OSI Approved :: MIT License\n"
            "Classifier: License :: OSI Approved :: ISC License (ISCL)",
            "unknown",
        ),
        ("Name: a", "unknown"),
    ],
)
def test_only_a_licence_beyond_doubt_is_stated(metadata: str, license_: str) -> None:
    assert license_of_metadata(parse_metadata(metadata)) == license_


def test_each_file_has_the_licence_of_the_distribution_that_recorded_it(tmp_path: Path) -> None:
    install(tmp_path, "one", "License-Expression: MIT", ["shared/one/a.py", "one.py"])
    install(tmp_path, "two", "License-Expression: ISC", ["shared/two/a.py"])
    (tmp_path / "loose.py").touch()
    files = ["shared/one/a.py", "shared/two/a.py", "one.py", "loose.py", "two-1.dist-info/METADATA"]
    assert [license_of_file(tmp_path / file) for file in files] == [
        "MIT",
        "ISC",
        "MIT",
        "unknown",
        "ISC",
    ]


def test_the_standard_library_is_known_by_its_modules(tmp_path: Path) -> None:
    for name in ("os.py", "site.py", "abc.py"):
        (tmp_path / name).touch()
    (tmp_path / "email").mkdir()
    (tmp_path / "email/charset.py").touch()
    assert license_of_file(tmp_path / "email/charset.py") == "PSF-2.0"
    install(tmp_path / "site-packages", "one", "License-Expression: MIT", ["one.py"])
    assert license_of_file(tmp_path / "site-packages/one.py") == "MIT"


def test_a_module_is_named_from_its_import_root(tmp_path: Path) -> None:
    install(tmp_path / "lib", "one", "", ["space/one/a.py", "space/one/__init__.py", "b.py"])
    assert module_name(tmp_path / "lib/space/one/a.py") == "space.one.a"
    assert module_name(tmp_path / "lib/space/one/__init__.py") == "space.one"
    assert module_name(tmp_path / "lib/b.py") == "b"


def test_a_module_of_a_source_tree_is_named_from_its_outermost_package(tmp_path: Path) -> None:
    (tmp_path / "src/one/two").mkdir(parents=True)
    (tmp_path / "src/one/__init__.py").touch()
    (tmp_path / "src/one/two/__init__.py").touch()
    assert module_name(tmp_path / "src/one/two/a.pyi") == "one.two.a"
    assert module_name(tmp_path / "src/script.py") == "script"


def test_readers_stand_in_the_order_of_the_table_and_cross_processes() -> None:
    names = list(READERS)
    assert (names[0], len(names)) == ("fireact", len(set(names)))
    assert {"python_api", "source_code", "package_text", "jsonl"} < set(names)
    assert all(name == reader.name for name, reader in READERS.items())
    assert all(pickle.loads(pickle.dumps(reader)) == reader for reader in READERS.values())


def test_the_table_of_readers_imports_no_parser() -> None:
    program = "import sys, preprocess.readers; print('griffe' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        check=True,
    )
    assert run.stdout == b"False\n"


def test_templates_and_the_table_of_readers_load_without_each_other() -> None:
    for module, absent in (("render", "draft"), ("readers.lines", "render")):
        program = f"import sys, preprocess.{module}; print(*sys.modules)"
        run = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        )
        assert not [name for name in run.stdout.decode().split() if name.endswith(f".{absent}")]
