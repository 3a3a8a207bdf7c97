"""What an edit of the program re-runs: the stage whose code has changed, by meaning."""

from __future__ import annotations

import os

import pytest
from harness import BANDS, CATALOGUE, GROUPS, IDS, Field, behind_models, fits_of, renders_of

pytestmark = pytest.mark.integration


@pytest.fixture
def field(field: Field) -> Field:
    """The field with a program of its own."""
    return field.with_own_program()


def test_a_comment_or_a_docstring_does_nothing(field: Field) -> None:
    with (field.program / "scripts/unblend/photometry/monte_carlo.py").open("a") as module:
        module.write("\n# a remark\n")
    path = field.program / "scripts/fit_first_pass.py"
    text = path.read_text()
    path.write_text(text.replace('"""', '"""Better said: ', 1))
    for script in (field.program / "scripts").rglob("*.py"):
        os.utime(script)
    field.redo(set())


def test_the_code_of_one_stage_of_the_bands(field: Field) -> None:
    with (field.program / "scripts/unblend/photometry/monte_carlo.py").open("a") as module:
        module.write("\nEDITED = True\n")
    field.redo({f"{stage} {band}" for stage in ("monte_carlo", "inspect") for band in BANDS} | CATALOGUE)


def test_the_code_of_the_fits_with_equal_results_ends_at_the_models(field: Field) -> None:
    with (field.program / "scripts/unblend/fits/joint_fit.py").open("a") as module:
        module.write("\nEDITED = True\n")
    field.redo(fits_of(*GROUPS) | {"models all"})


def test_the_code_of_the_drawing(field: Field) -> None:
    field.edit_code("unblend/models/rendering.py", "def sersic_model(", "EDITED = True\n\n\ndef sersic_model(")
    work = field.run().work
    assert renders_of(*IDS) | {"models all"} <= work
    assert not work & fits_of(*GROUPS)


def test_the_code_of_the_catalogue(field: Field) -> None:
    with (field.program / "scripts/unblend/photometry/catalogue.py").open("a") as module:
        module.write("\nEDITED = True\n")
    field.redo(CATALOGUE)


def test_the_code_of_the_templates_leaves_fits_and_drawings_alone(field: Field) -> None:
    """The fits import it for the user's own models, of which there are none."""
    with (field.program / "scripts/unblend/models/templates.py").open("a") as module:
        module.write("\nEDITED = True\n")
    field.redo({"models all"} | behind_models())
