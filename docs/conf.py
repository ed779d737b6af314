"""Sphinx: how the documentation is built. `make docs` turns every warning into an error."""

import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent.parent))

import xqueue_bridge

project = "xqueue_bridge"
author = "the xqueue_bridge developers"
copyright = "2026, the xqueue_bridge developers, Apache-2.0"
release = version = xqueue_bridge.__version__

extensions = ["sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {
    "description": "An answer goes to a grader, and the grade comes back.",
    "fixed_sidebar": True,
    "page_width": "1080px",
    "sidebar_width": "260px",
}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_show_sourcelink = False

# Only modules that can be imported without a configured project are read by autodoc; a page
# that names another one fails here, on any machine, in the same way.
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
python_use_unqualified_type_names = True


def setup(app: Sphinx) -> None:
    """Add ``.. setting::``, so that a settings key has an address (``:setting:`NAME```)."""
    app.add_object_type("setting", "setting", indextemplate="pair: %s; setting")
