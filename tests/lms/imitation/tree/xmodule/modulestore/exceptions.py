"""The exceptions of the module store."""


class ItemNotFoundError(Exception):
    """There is no such block."""
