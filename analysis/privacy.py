"""`mlflow run . -e privacy`, which is `memreg privacy`."""

from memreg import options
from memreg.programs.privacy import privacy

if __name__ == "__main__":
    options.run(privacy)
