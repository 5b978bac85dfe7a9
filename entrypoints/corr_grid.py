"""`mlflow run . -e corr_grid`, which is `memreg corr_grid`."""

from memreg import options
from memreg.programs.corr_grid import corr_grid

if __name__ == "__main__":
    options.run(corr_grid)
