"""How counts are worded for a person."""


def counted(n: float, one: str, many: str = "") -> str:
    """`1 member`, `1,200 members`, `1 process`, `2 processes`. many: where it is not `one` with an s."""
    return f"{n:,.0f} {one if n == 1 else many or one + 's'}"
