"""How many of its moments a test with kills or signals tries."""

from __future__ import annotations

import os

#: A run tries the moments before each statement: what is committed changes only between two of
#: them. With HYPOTHESIS_PROFILE=thorough it tries those after each statement, too.
STEP = 1 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 2
