"""Names in what is asked, checked without opening or building what they name."""

from collections.abc import Iterable

from memreg import models
from memreg.data.loading import check_base
from memreg.data.name import parse
from memreg.grid import Planned


def check_names(cells: Iterable[Planned]) -> None:
    """Raise `MemregError` for the first data set or model that there is none of by its name."""
    for planned in cells:
        check_base(parse(planned.dataset)[0])
        models.check_name(planned.recipe.model)
