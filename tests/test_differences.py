from __future__ import annotations

from random import Random

import pytest

from preprocess.differences import CUT, excerpts


def shown(one: str, other: str, room: int = 500) -> tuple[str, str]:
    """Return both excerpts with what differs in brackets."""
    first, second = (
        "".join(f"[{text.strip()}]" if is_different else text for text, is_different in pieces)
        for pieces in excerpts(one, other, room)
    )
    return first, second


def test_short_texts_are_shown_whole() -> None:
    assert shown("a b c", "a x c") == ("a [b]c", "a [x]c")
    assert shown("same", "same") == ("same", "same")
    assert shown("", "more") == ("", "[more]")


def test_each_difference_is_shown_and_the_middle_of_what_is_equal_is_not() -> None:
    equal = " ".join(f"word{number}" for number in range(100))
    one, other = shown(f"start a {equal} b {equal} end", f"start x {equal} y {equal} end")
    assert one.startswith("start [a]word0 word1 ")
    assert other.startswith("start [x]word0 word1 ")
    assert f"{CUT}word9" in one
    assert "word99 [b]word0" in one
    assert "word99 [y]word0" in other
    assert one.count(CUT) == 2
    assert "word50" not in one


def test_texts_alike_but_for_white_space_are_shown_as_far_as_there_is_room() -> None:
    words = [f"word{number}" for number in range(200)]
    one, other = shown(" ".join(words), "\n".join(words))
    assert 490 < len(one) < 510
    assert one.split() == other.split()


def test_a_difference_far_down_is_found() -> None:
    same = "word " * 10_000
    one, other = shown(f"{same}here", f"{same}there")
    assert one.startswith(f"{CUT} word word")
    assert one.endswith("word [here]")
    assert other.endswith("word [there]")


@pytest.mark.parametrize("room", [1, 10, 57, 200])
def test_room_is_kept_to_and_words_stay_whole(room: int) -> None:
    words = " ".join(f"abc{number}" for number in range(400))
    other = " ".join(f"xyz{number}" for number in range(400))
    for text in ("".join(text for text, _ in pieces) for pieces in excerpts(words, other, room)):
        assert len(text.removesuffix(CUT)) <= room
        if room > 10:
            assert set(text.removesuffix(CUT).split()) <= {*words.split(), *other.split()}


def test_texts_without_spaces_are_cut_all_the_same() -> None:
    one, other = excerpts("x" * 9_000, "y" * 9_000, 100)
    assert one == [("x" * 100, True), (CUT, False)]
    assert other == [("y" * 100, True), (CUT, False)]


def test_long_white_space_is_as_good_as_words() -> None:
    assert shown(f"{' ' * 5_000}a", f"{' ' * 5_000}b")[0].endswith("[a]")
    assert shown(f"{chr(10) * 300}a", f"{chr(10) * 300}a b")[1].endswith("[b]")
    random = Random(1)
    parts = [" " * 2_000, "  ", "\n" * 70, "word " * 30, "x" * 70, "y"]
    for _ in range(300):
        same, one, other = ("".join(random.choices(parts, k=random.randrange(5))) for _ in range(3))
        room = random.choice([0, 10, 500])
        for pieces in excerpts(same + one, same + other, room):
            assert len("".join(text for text, _ in pieces).replace(CUT, "")) <= room + len(CUT)
