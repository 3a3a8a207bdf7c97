"""What jobs ask for, beside the memory that they have used: the smallest field. test_example.py has a larger one."""

from __future__ import annotations

import pytest
from harness import Field
from job_memory import check_requests

pytestmark = pytest.mark.integration


def test_no_job_of_a_small_field_needs_more_than_it_asks_for(warm_field: Field) -> None:
    check_requests(warm_field.folder, at_least=30)
