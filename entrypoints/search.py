"""`mlflow run . -e search`, which is `memreg search`."""

from memreg import options
from memreg.programs.search import search

if __name__ == "__main__":
    options.run(search)
