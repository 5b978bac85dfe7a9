"""`mlflow run . -e correlation`, which is `memreg correlation`."""

from memreg import options
from memreg.programs.correlation import correlation

if __name__ == "__main__":
    options.run(correlation)
