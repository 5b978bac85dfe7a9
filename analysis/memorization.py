"""`mlflow run . -e memorization`, which is `memreg memorization`."""

from memreg import options
from memreg.programs.memorization import memorization

if __name__ == "__main__":
    options.run(memorization)
