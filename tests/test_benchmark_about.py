"""Which commit a benchmark names: its own, or none."""

import shutil
import subprocess
from pathlib import Path

import pytest

from megatron_recipes.benchmark import about


def copied(into: Path) -> Path:
    """Copy the module that asks to where a package has it; return its file."""
    file = into / "megatron_recipes/benchmark/about.py"
    file.parent.mkdir(parents=True)
    shutil.copyfile(about.__file__, file)
    return file


def git(tree: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(tree), *who, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def named(file: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(about, "PACKAGE", file.parents[1])
    return str(about.about()["commit"])


def test_the_commit_is_that_of_the_tree_and_says_if_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = copied(tmp_path)
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "all")
    name = git(tmp_path, "rev-parse", "--short", "HEAD")
    assert named(file, monkeypatch) == name
    file.write_text(file.read_text() + "# more\n")
    assert named(file, monkeypatch) == f"{name}+"


def test_a_package_that_is_installed_inside_another_tree_does_not_take_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init")
    (tmp_path / "theirs.txt").write_text("of the user")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "theirs")
    file = copied(tmp_path / "site-packages")
    monkeypatch.delenv("COMMIT", raising=False)
    assert named(file, monkeypatch) == "unknown"
    monkeypatch.setenv("COMMIT", "abc1234")
    assert named(file, monkeypatch) == "abc1234"
