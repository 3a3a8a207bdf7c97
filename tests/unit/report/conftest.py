"""The products of an artificial field, written once for the tests of the report."""

from __future__ import annotations

import pytest
from field_products import write_products
from unblend.report.content import read_field


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Return the folder, the field, and the content, images and pictures of its report."""
    folder = tmp_path_factory.mktemp("field")
    field = write_products(folder)
    content, images, pictures = read_field(field.spec, folder / "results")
    return folder, field, content, images, pictures
