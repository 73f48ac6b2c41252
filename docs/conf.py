"""The site of these pages: `make docs` builds it with Sphinx, and fails at the first warning.

The pages are plain Markdown, so that a code host shows them as well. docs/decisions/2026-11-27-docs-site.md says why
Sphinx.
"""

from viberary_pipeline import __version__

project = "Viberary"
version = release = __version__
copyright = "the authors of viberary_pipeline; MIT licence"
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
default_role = "code"  # in docstrings, `name` is code
smartquotes_action = "qe"  # "--" is the beginning of an option, not a dash
exclude_patterns = ["images"]

html_theme = "furo"
html_title = f"Viberary {__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_use_ivar = True
