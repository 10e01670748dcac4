"""Pages that need nothing else: one HTML file with its style, figures and pictures inside.

Promise: what comes from outside (a model's name, a file's) is text and never markup; page.css is every page's style.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Callable, Mapping

from jinja2 import Environment, FileSystemLoader


def page(template: Path, context: Mapping[str, Any], filters: Mapping[str, Callable[..., Any]]) -> str:
    """The template filled in; it may include what lies beside it, and page.css."""
    folders = [template.parent, Path(__file__).parent]
    environment = Environment(loader=FileSystemLoader(folders), autoescape=True)
    environment.filters.update(filters)
    return environment.get_template(template.name).render(**context)


def jpeg_inside(jpeg: bytes) -> str:
    """The JPEG as an address that holds it."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
