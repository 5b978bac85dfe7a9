"""`mlflow run . -e leave_one_out`, which is `memreg leave_one_out`."""

from memreg import options
from memreg.programs.leave_one_out import leave_one_out

if __name__ == "__main__":
    options.run(leave_one_out)
