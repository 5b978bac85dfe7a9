"""What may be asked of `memreg memorization`."""

from memreg.parameters import Parameters


class Request(Parameters):
    """What is asked of `memreg memorization`."""

    cell: str
    """A cell's hash, the first digits of it, or its run id."""
    estimator: str | None = None
    """peers, extrapolation, gaussian, shrunk, candidates, leave_one_out or package.module:function; by
    default Feldman & Zhang's."""
    neighbours: str | None = None
    """Peers for the estimator peers: groups (those planted), a cell, or FILE.json; by default they are
    found. For candidates the pilot, a cell, whose members help to find them."""
