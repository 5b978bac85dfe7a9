"""Which training examples each network sees.

A design answers two questions about member i of a data set with n training examples: which are
included, and which seed it has. Both follow from (design seed, i) alone, so members can be added
later, in any order, on any machine.
"""

from typing import Annotated

from pydantic import Field

from memreg.design.base import Examples, Neighbours
from memreg.design.imported import Imported
from memreg.design.leave_out import All, Fixed, LeaveGroupOut, LeaveOneOut
from memreg.design.removal import Pool, Removal
from memreg.design.subsets import Candidates, Spread, Subsets
from memreg.design.user_design import Named

GridDesign = Annotated[Subsets | Spread | Candidates | All | Named, Field(discriminator="kind")]
"""What a grid may ask for."""
LeaveOut = LeaveOneOut | LeaveGroupOut
Design = Annotated[
    Subsets | Spread | Candidates | All | Named | Fixed | LeaveOneOut | LeaveGroupOut | Removal | Imported,
    Field(discriminator="kind"),
]
CHOSEN = ("candidates", "leave_one_out", "leave_group_out", "removal")
"""Kinds of designs whose members leave out chosen examples alone."""


def of_chosen(*kinds: str) -> str:
    """Why no mean over the examples that members leave out is given, of designs of these kinds."""
    named = ", ".join(kinds)
    return f"members of design {named} leave out only chosen examples, which do not stand for the data set"


__all__ = [
    "CHOSEN",
    "All",
    "Candidates",
    "Design",
    "Examples",
    "Fixed",
    "GridDesign",
    "Imported",
    "LeaveGroupOut",
    "LeaveOneOut",
    "LeaveOut",
    "Named",
    "Neighbours",
    "Pool",
    "Removal",
    "Spread",
    "Subsets",
    "of_chosen",
]
