"""One file per entry point that reads what is stored. Importing any checks this Python."""

import entrypoints  # noqa: F401
