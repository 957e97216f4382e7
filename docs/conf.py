"""How Sphinx builds the site: ``make docs``."""

from __future__ import annotations

import contextlib
import io
import os
import re
from pathlib import Path

from airflow.cli.cli_parser import get_parser
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from spot_runner_provider import __version__, get_provider_info
from spot_runner_provider.protocol.outcome import Outcome

README = Path(__file__).parents[1] / "README.md"
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}

project = "airflow-provider-spot-runner"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]

html_theme = "furo"
html_title = f"Spot runner provider {release}"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False

myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"

# What docstrings say of this project must exist; what they say of Airflow and botocore is described elsewhere.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!spot_runner_provider).*")]


class Settings(SphinxDirective):
    """``settings``: a table of ``[spot_runner]``, from what Airflow itself is told."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        lines = ["| setting | type | default | meaning | example |", "|---|---|---|---|---|"]
        for name, option in get_provider_info()["config"]["spot_runner"]["options"].items():
            default = {None: "none", "": "empty"}.get(option["default"], f"`{option['default']}`")
            cells = (f"`{name}`", option["type"], default, option["description"], f"`{option['example']}`")
            lines.append(f"| {' | '.join(cells)} |")
        return self.parse_text_to_nodes("\n".join(lines))


class Outcomes(SphinxDirective):
    """``outcomes``: a table of them, from the one that the code reads."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        lines = ["| outcome | means | what to do | needs attention |", "|---|---|---|---|"]
        for outcome in Outcome:
            meaning = outcome.meaning
            cells = (f"`{outcome}`", meaning.means, meaning.advice, "yes" if meaning.needs_attention else "no")
            lines.append(f"| {' | '.join(cells)} |")
        return self.parse_text_to_nodes("\n".join(lines))


class Command(SphinxDirective):
    """``command``: what ``airflow ... --help`` prints."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return the text as it is."""
        os.environ["COLUMNS"] = "80"
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
            get_parser().parse_args([*self.arguments[0].split(), "--help"])
        return [nodes.literal_block(text=out.getvalue(), language="text")]


def read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Begin the index with the README, and let links to files that are pages here lead to the pages."""
    text = source[0]
    if docname == "index":
        text = re.sub(r"\]\((?!\w+:|#)", "](../", README.read_text()).replace("](../docs/", "](") + text
    for file, page in PAGES.items():
        text = re.sub(rf"\]\((\.\./)+{file}", f"](/{page}", text)
    source[0] = text


def setup(app: Sphinx) -> None:
    """Add what is ours."""
    app.add_directive("settings", Settings)
    app.add_directive("outcomes", Outcomes)
    app.add_directive("command", Command)
    app.connect("source-read", read)
