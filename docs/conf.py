"""The documentation as a site: `make site`. Dead links and anchors, and pages that no list has, are errors."""

project = "unblend"
html_title = "unblend: fluxes of blended galaxies"
extensions = ["myst_parser"]
html_theme = "furo"
html_copy_source = html_show_copyright = False
myst_heading_anchors = 4
