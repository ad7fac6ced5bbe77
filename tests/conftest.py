"""Fixtures that more than one room needs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings: FAULTDX_REAL_DATA, or shared/data beside the checkout."""
    folder = Path(os.environ.get("FAULTDX_REAL_DATA", HERE.parent.parent / "shared" / "data"))
    if not (folder / "cwru" / "105.mat").is_file():
        pytest.skip(f"no real recordings in {folder} (set FAULTDX_REAL_DATA to the folder that holds cwru/)")
    return folder
