"""The migrations of edx-submissions, of which 0006 does nothing, as on a site that fakes it."""

from pathlib import Path

import submissions.migrations

__path__ = [str(Path(__file__).parent), *submissions.migrations.__path__]
