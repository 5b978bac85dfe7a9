"""Names in what is asked, checked without opening or building what they name."""

from collections.abc import Iterable

from memreg import models, user_code
from memreg.data import loading
from memreg.grid import Planned


def check_names(cells: Iterable[Planned]) -> None:
    """Raise `MemregError` for the first data set, model or code of the user's that there is none of."""
    for planned in cells:
        loading.check(planned.dataset)
        models.check_name(planned.recipe.model)
        for what, name in planned.code.items():
            user_code.check_module(what, name)
