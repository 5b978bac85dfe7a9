"""`mlflow run . -e audit`, which is `memreg audit`."""

from memreg import options
from memreg.programs.audit import audit

if __name__ == "__main__":
    options.run(audit)
