"""`mlflow run . -e marginal_utility`, which is `memreg marginal_utility`."""

from memreg import options
from memreg.programs.marginal_utility import marginal_utility

if __name__ == "__main__":
    options.run(marginal_utility)
