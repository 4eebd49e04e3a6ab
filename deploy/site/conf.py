"""How Sphinx makes the site of the repository's Markdown: deploy/site/build."""

project = "baton"
author = "the baton authors"
extensions = ["myst_parser"]
myst_heading_anchors = 4  # links to headings, by the names that GitHub gives them
nitpicky = True
suppress_warnings = ["myst.header"]  # a table in HTML, or a page that begins at another level, is no fault
highlight_language = "none"  # of indented blocks: commands, and what they print
language = "en"

# Nothing that a page needs comes from elsewhere: the theme has no fonts or scripts of others.
html_theme = "alabaster"
html_theme_options = {
    "description": "A fault-tolerant control plane for data pipelines that span two clouds",
    "page_width": "1200px",
    "sidebar_width": "240px",
    "fixed_sidebar": False,
    "show_powered_by": False,
}
html_sidebars = {"**": ["about.html", "navigation.html", "searchbox.html"]}
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
html_use_index = False
smartquotes = False
