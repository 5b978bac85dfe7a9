"""`mlflow run . -e approximation_error`, which is `memreg approximation_error`."""

from memreg import options
from memreg.programs.approximation_error import approximation_error

if __name__ == "__main__":
    options.run(approximation_error)
