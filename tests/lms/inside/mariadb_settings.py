"""The LMS's test settings with its databases in a MariaDB on loopback."""

from lms.envs.test import *  # noqa: F403
from lms.envs.test import DATABASES

for _alias, _database in DATABASES.items():
    _name = f"xqueue_bridge_lms_{_alias}"
    _database.update(
        ENGINE="django.db.backends.mysql",
        NAME=_name,
        HOST="127.0.0.1",
        USER="root",
        PASSWORD="",
        OPTIONS={"charset": "utf8mb4"},
        TEST={"NAME": f"test_{_name}", "CHARSET": "utf8mb4", "COLLATION": "utf8mb4_general_ci"},
    )
