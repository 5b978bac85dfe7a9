"""`mlflow run . -e leaderboard`, which is `memreg leaderboard`."""

from memreg import options
from memreg.programs.leaderboard import leaderboard

if __name__ == "__main__":
    options.run(leaderboard)
