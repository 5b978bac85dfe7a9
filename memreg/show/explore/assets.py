"""The files of the page: what runs in a browser, whether a server gives it or one page has all of it."""

from importlib import resources

SCRIPTS = (
    "vendor/d3.min.js",
    "vendor/plot.min.js",
    "data.js",
    "elements.js",
    "filters.js",
    "gallery.js",
    "example.js",
    "labels.js",
    "study.js",
    "home.js",
    "app.js",
)
STYLE, INDEX = "style.css", "index.html"


def read(name: str) -> str:
    """A file of the page, as text."""
    place = resources.files("memreg.show.explore").joinpath("page", *name.split("/"))
    return place.read_text(encoding="utf-8")


def filled(**parts: str) -> str:
    """The page, with these parts in their places: `policy`, `style`, `embedded`, `scripts`."""
    text = read(INDEX)
    for name, part in parts.items():
        text = text.replace(f"<!-- {name} -->", part)
    return text
