"""Texts in sentences."""

import pytest

from viberary_pipeline.search.sentences import sentences_of


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        (" \n\t ", []),
        ("No end", ["No end"]),
        ("One. Two!  Three?\nFour…", ["One.", "Two!", "Three?", "Four…"]),
        ("“Run!” she said. “Now.” He ran.", ["“Run!” she said.", "“Now.”", "He ran."]),
        ("Mr. Punch met Dr. Watson in St. Ives. They left.", ["Mr. Punch met Dr. Watson in St. Ives.", "They left."]),
        ("By J. R. R. Tolkien, vs. Mrs. May. Good.", ["By J. R. R. Tolkien, vs. Mrs. May.", "Good."]),
        (
            "Knights, dragons etc. and more. Version 2.5 is out.",
            ["Knights, dragons etc. and more.", "Version 2.5 is out."],
        ),
        ("Wait... what?! Yes.", ["Wait... what?!", "Yes."]),
        (
            "海の底で目が覚めた。「だれ？」彼女は言った！静かだ",
            ["海の底で目が覚めた。", "「だれ？」", "彼女は言った！", "静かだ"],
        ),
        ("Er kam. Über Nacht. Ängste.", ["Er kam.", "Über Nacht.", "Ängste."]),
        ("(An aside.) Then more.", ["(An aside.)", "Then more."]),
        ("." * 5000, ["." * 5000]),
    ],
)
def test_a_text_in_sentences(text: str, sentences: list[str]) -> None:
    assert sentences_of(text) == sentences
