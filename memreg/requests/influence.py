"""What may be asked of `memreg influence`."""

from pydantic import Field

from memreg.parameters import Parameters


class Request(Parameters):
    """What is asked of `memreg influence`."""

    cell: str
    """A cell's hash, the first digits of it, or its run id."""
    threshold: float = Field(0.15, gt=0, le=1)
    """Least influence of a pair in the table; 0.15 is Feldman & Zhang's threshold for a substantial one."""
