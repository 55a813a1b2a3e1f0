"""Sphinx's settings for the site, which `course site` builds: nothing is executed, and nothing is loaded from elsewhere."""

from course_lib import __version__
from course_lib.tools.site.mathjax import CONFIG

project = "Latent Space & Guidance"
copyright = "the authors of the workbook, MIT licence"
version = release = __version__
language = "en"
extensions = ["myst_nb", "sphinx.ext.mathjax"]
root_doc = "index"
exclude_patterns = ["files/**"]

nb_execution_mode = "off"
nb_merge_streams = True
nb_code_prompt_show = "Show the {type}"
nb_code_prompt_hide = "Hide the {type}"
nb_mime_priority_overrides = [("html", "text/html", 0), ("html", "text/markdown", 1)]
myst_enable_extensions = ["dollarmath", "colon_fence", "attrs_inline", "attrs_block"]
myst_heading_anchors = 4
myst_links_external_new_tab = False
myst_update_mathjax = False

mathjax_path = "mathjax/tex-chtml.js"
mathjax_options = {"defer": "defer"}
mathjax3_config = CONFIG

add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_js_files = [("course.js", {"defer": "defer"})]
html_favicon = "_static/favicon.svg"
html_show_sphinx = False
html_last_updated_fmt = None
html_copy_source = False
html_use_index = False  # the search finds more
html_domain_indices = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "logo": {"image_light": "_static/favicon.svg", "image_dark": "_static/favicon.svg", "text": project, "alt_text": ""},
    "home_page_in_toc": True,
    "show_navbar_depth": 1,
    "collapse_navbar": True,  # of the list of pages only the open part: half of the time and of the bytes
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "use_edit_page_button": False,
    "use_repository_button": False,
    "navbar_persistent": [],
    "footer_content_items": ["copyright.html"],
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
# A notebook's headings may skip a level; a listing may hold what its language does not know, such as a notebook's magics.
suppress_warnings = ["myst.header", "misc.highlighting_failure"]
