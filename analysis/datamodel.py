"""`mlflow run . -e datamodel`, which is `memreg datamodel`."""

from memreg import options
from memreg.programs.datamodel import datamodel

if __name__ == "__main__":
    options.run(datamodel)
