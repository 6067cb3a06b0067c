"""Real data beside the checkout, which is too large to ship: tests of it skip where it is not there."""

from pathlib import Path

import pytest

DATA = Path(__file__).parents[3] / "shared" / "data"
HOUSING = DATA / "housing.csv"
needs_housing = pytest.mark.skipif(not HOUSING.exists(), reason=f"{HOUSING} is not here: it is too large to ship")
