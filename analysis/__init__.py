"""One file per entry point that reads what is stored."""

from memreg.environment import check

check()
