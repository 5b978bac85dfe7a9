"""`mlflow run . -e influence`, which is `memreg influence`."""

from memreg import options
from memreg.programs.influence import influence

if __name__ == "__main__":
    options.run(influence)
