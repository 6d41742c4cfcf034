from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-snapshots",
        action="store_true",
        help="Write the compiler's SQL over segops_orchestration_tests/compiler/snapshots/ instead of comparing.",
    )
