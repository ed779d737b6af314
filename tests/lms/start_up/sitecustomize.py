"""Prepare Python for a platform on a machine without MongoDB and without mysqlclient.

Put this folder on PYTHONPATH. mongomock's client replaces pymongo's; all clients of a
process share one store. PyMySQL replaces mysqlclient.
"""

import inspect

import mongomock
import pymongo
import pymysql
from mongomock.gridfs import enable_gridfs_integration
from mongomock.store import ServerStore

_STORE = ServerStore()
_KNOWN = set(inspect.signature(mongomock.MongoClient.__init__).parameters)


class MongoClient(mongomock.MongoClient):
    """A client of the process's one store; arguments that mongomock does not know are ignored."""

    def __init__(self, *args, **kwargs):
        kwargs = {name: value for name, value in kwargs.items() if name in _KNOWN}
        kwargs["_store"] = _STORE
        super().__init__(*args, **kwargs)


def _command(self, *args, **kwargs):
    return {"ok": 1}


mongomock.database.Database.command = _command
enable_gridfs_integration()
pymongo.MongoClient = MongoClient
pymongo.mongo_client.MongoClient = MongoClient

try:
    import MySQLdb  # noqa: F401
except ImportError:
    # Django asks for mysqlclient by its version.
    pymysql.version_info = (2, 2, 7, "final", 0)
    pymysql.install_as_MySQLdb()
