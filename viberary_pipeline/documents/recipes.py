"""Text recipes: how the text of a work is put together from its parts, by name and version.

The macros are in `sql/macros.sql`. A recipe's name, version and limits enter the key of the documents made with
it, so that a changed recipe makes new documents.
"""

from dataclasses import dataclass

from viberary_pipeline.errors import SettingsError


@dataclass(frozen=True)
class Recipe:
    """One way to write the text of a work.

    Attributes:
        name: What VIBERARY_RECIPE says.
        version: Raised whenever the macro's output changes.
        macro: The macro in `sql/macros.sql`: (title, author, description, reviews) -> text.
        max_tokens: Where the encoder cuts, if lower than the encoder's own limit.
    """

    name: str
    version: int
    macro: str
    max_tokens: int | None = None


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("title-first", version=1, macro="text_title_first"),
        # The original system's sentence, with its cut at 200 tokens: the baseline to compare with.
        Recipe("seed", version=1, macro="text_seed", max_tokens=200),
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
