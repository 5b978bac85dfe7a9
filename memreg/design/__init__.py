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

__all__ = [
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
]
