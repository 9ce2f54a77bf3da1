"""Words that an option does not know are refused, and the nearest one is named."""

from typing import Literal

import pytest

from decaf.choices import check_choice, checked, choices_of
from decaf.errors import ConfigError

Shape = Literal["round", "square"]


@checked
def draw(shape: Shape, edge: Literal["thin", "thick"] | None = None) -> str:
    return f"{shape} {edge}"


def test_known_words_pass():
    assert draw("round", edge="thin") == "round thin"
    assert draw("square", None) == "square None"
    assert choices_of(draw) == {"shape": ("round", "square"), "edge": ("thin", "thick")}


def test_an_unknown_word_names_the_nearest():
    with pytest.raises(ConfigError, match="unknown edge 'Thik'; did you mean 'thick'"):
        draw("round", edge="Thik")
    with pytest.raises(ConfigError, match="unknown shape 'banana'; choose one of: round, square"):
        draw("banana")


def test_a_choice_of_another_type_is_refused():
    with pytest.raises(ConfigError, match="unknown size 3"):
        check_choice("size", 3, ("small", "large"))
