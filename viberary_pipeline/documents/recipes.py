"""Text recipes: how the text of a work is put together from its parts, by name and version.

A new recipe is a macro in `sql/macros.sql` and a line below. Its name, version and limits enter the key of the
documents made with it, so that a changed recipe makes new documents.
"""

from dataclasses import dataclass

from viberary_pipeline.errors import SettingsError


@dataclass(frozen=True)
class Recipe:
    """One way to write the text of a work.

    Attributes:
        name: What VIBERARY_RECIPE says.
        version: Raised whenever the macro's output changes.
        macro: The macro in `sql/macros.sql`: (title, author, description, genres, series, shelves, reviews)
            -> text.
        max_tokens: Where the encoder cuts, if lower than the encoder's own limit.
        review_characters: How much of each review is cleaned and handed to the macro: an encoder reads some 1,000
            characters in all, and title and description come first.
        embeds_shelves: Whether the text holds the names of shelves, which then cannot judge a search.
    """

    name: str
    version: int
    macro: str
    max_tokens: int | None = None
    review_characters: int = 500
    embeds_shelves: bool = False


RECIPES = {
    recipe.name: recipe
    for recipe in (
        # Chosen by measure: benchmarks/shelves.py, benchmarks/recipes.py.
        Recipe("title-shelves", version=1, macro="text_title_shelves", embeds_shelves=True),
        Recipe("title-first", version=2, macro="text_title_first"),
        # The original system's sentence, with its cut at 200 tokens: the baseline to compare with.
        Recipe("seed", version=1, macro="text_seed", max_tokens=200, review_characters=1000),
    )
}


def recipe_named(name: str) -> Recipe:
    """The recipe of that name. Raises `SettingsError` if there is none."""
    try:
        return RECIPES[name]
    except KeyError:
        raise SettingsError(
            "There is no such text recipe",
            expected=f"VIBERARY_RECIPE to be one of {', '.join(sorted(RECIPES))}",
            found=repr(name),
            todo="correct VIBERARY_RECIPE",
        ) from None
