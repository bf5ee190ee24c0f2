"""How Sphinx makes the site from the documents of this folder: `make docs`."""

from sphinx.application import Sphinx

import rstar_math

project = "rStar-Math"
author = "The rStar-Math project"
version = release = rstar_math.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 4
default_role = "code"  # docstrings are Markdown in this: `name` is code
autodoc_member_order = "bysource"
autodoc_typehints = "description"
html_theme = "furo"
html_title = "rStar-Math"


def setup(app: Sphinx) -> None:
    """The README is no page of the site: links to it lead to the first page."""
    app.connect("source-read", _links_to_the_readme)


def _links_to_the_readme(app: Sphinx, name: str, source: list[str]) -> None:
    source[0] = source[0].replace("](../README.md", "](index.md")
