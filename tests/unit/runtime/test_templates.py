"""The templates of the web UI's editor: each is a pipeline as it is."""

from pathlib import Path

import pytest

from mayfly_runtime.spec import schema

FOLDER = Path(__file__).parents[3] / "web" / "src" / "pages" / "editor" / "templates"
TEMPLATES = sorted(FOLDER.glob("*.py"))


def test_there_are_templates() -> None:
    assert len(TEMPLATES) >= 6


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_is_a_pipeline(template: Path) -> None:
    made = schema.build({"main.py": template.read_text(encoding="utf-8")}, "main.py:main")
    assert made["components"]["schemas"]["Input"]["properties"]
    assert made["components"]["schemas"]["Output"]
