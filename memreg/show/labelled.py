"""What an example's label is called, and its true label where that is known to be another."""

from memreg.registry import StoredCell
from memreg.registry.stored_cell import NO_LABEL

UNKNOWN = "unknown"


def called(cell: StoredCell, label: int) -> str:
    """What the data calls a label's class, else its number; UNKNOWN where the cell came without labels."""
    if label == NO_LABEL or not cell.labels_known:
        return UNKNOWN
    return cell.class_names.get(label, str(label))


def truth(cell: StoredCell, row: int) -> str:
    """The true label of one of the N examples, where it is known to be another than the given, else ""."""
    if "clean_label" not in cell.examples:
        return ""
    given, clean = cell.labels[row], cell.examples["clean_label"].iloc[row]
    return "" if clean == given or clean != clean else called(cell, int(clean))


def label_in_words(cell: StoredCell, row: int) -> str:
    """Of one of the N examples, training first: "3", or "3, truly 6"."""
    label, true = called(cell, int(cell.labels[row])), truth(cell, row)
    return f"{label}, truly {true}" if true else label
