"""Which cells a study holds.

Each cell's run says so itself, by a tag for every study that holds it, so that drivers that add to one study
at the same time do not overwrite each other. Studies of earlier versions have no such tags: they hold the
rows of their cells.parquet.
"""

KEY = "memreg.held_by/"


def holding_tag(study: str, study_run_id: str, place: int) -> tuple[str, str]:
    """Key and value of the tag of a cell that a study holds, at this place among its cells."""
    return KEY + study, f"{study_run_id} {place:06d}"


def held_filter(study: str, study_run_id: str) -> str:
    """The runs of a study's cells, as a filter in MLflow's language."""
    return f"tags.`{KEY}{study}` LIKE '{study_run_id}%'"


def position(value: str) -> int:
    """The place that the value of such a tag gives."""
    return int(value.partition(" ")[2])


def merged_commands(known: str, new: str, most: int = 4500) -> str:
    """The commands that make a study again, a line each, in the order in which they were last given.

    MLflow keeps 5,000 characters of a tag: what is beyond `most` characters is counted and left out.
    """
    lines = [line for line in known.splitlines() if line and line != new] + ([new] if new else [])
    earlier = 0
    if lines and lines[0].startswith("# and "):
        earlier = int(lines.pop(0).split()[2])
    while len(lines) > 1 and sum(map(len, lines)) + len(lines) > most:
        lines.pop(0)
        earlier += 1
    return "\n".join([*([f"# and {earlier} earlier commands"] if earlier else []), *lines])
