"""`mlflow run . -e train`, which is `memreg train`."""

from memreg import options
from memreg.programs.train import train

if __name__ == "__main__":
    options.run(train)
