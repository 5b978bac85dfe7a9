"""The exceptions and warnings that a person is meant to read."""


class MemregError(Exception):
    """Bad input or a registry that cannot be used: one line saying what is wrong and what would be right.

    Entry points and commands print it on stderr, without a traceback, and exit with status 2.
    """


class TakenError(MemregError):
    """Another driver is at work on a cell."""


class OutageError(MemregError):
    """What failed is around memreg, and not what it was asked: a disk, a database, a server."""


class InterruptedStudy(KeyboardInterrupt):
    """Ctrl-C or SIGTERM, while a study was open: what it has trained is stored."""


class IncompleteStudyWarning(UserWarning):
    """Cells of a study are left out, because they have not all their members yet."""
