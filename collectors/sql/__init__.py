"""The statements of the store, a file each, named for what they do."""

from functools import cache
from importlib.resources import files


@cache
def statement(name: str) -> str:
    """The text of a statement."""
    return files(__name__).joinpath(f"{name}.sql").read_text("utf-8")
