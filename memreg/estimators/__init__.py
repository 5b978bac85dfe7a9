"""Pure functions of arrays. `memreg.scoring.by_name` lists what `memreg memorization --estimator` takes.

Each file has one idea:

`counts`        sums of members that include an example and get it right: all below is made of them
`scores`        the score of each example (Equation 1), and its interval
`threshold`     when a score reaches a threshold, and the thresholds that are reported
`mixture`       the memorized fraction: the share of examples whose true score reaches a threshold
`statistics`    the names of what a cell's scores amount to
`summary`       a cell's aggregates
`memorized_set` examples above a threshold, with a controlled share of false ones
`leave_one_out` Equation 1 to the letter (section 3.2), and when to stop training for it
`coinfluence`   which examples learn from each other; `peers` conditions scores on them
`similar`       which examples networks see alike, in groups that a design keeps apart
`extrapolation` scores at several r, carried to n-1
`gaussian`      scores from the label's log odds
`shrunk`        scores from few members, by empirical Bayes; it is made of `beta_binomial` and `spline`
`label_check`   which labels are probably wrong, by the members that did not see them
`approximation` the error of an estimate against leave-one-out (section 4.2); `outliers` has SPP
`influence`     of training on test examples (section 2.2); `products` has its exact integer products, and
                `hypergeometric` what chance gives when members are shuffled
`presence`      whom it helps that networks were trained on one example
`datamodel`     influence by linear models of the margin, and how well they predict networks
`traces`        what training shows of each example; `proxies` are stand-ins for scores that are made of them
`influence_function` a stand-in of the same kind, by captum
`leaderboard`   how well stand-ins do against leave-one-out, calibrated on other targets
`arms`          which examples a marginal utility experiment leaves out (section 3.3)
`marginal_utility` how much test accuracy changes without them; `duplicates` finds near duplicates of images
`measured`      everything about cells that correlations are made of
`over_cells`    how memorization and test accuracy go together over cells (section 5), by way of
                `correlation`, Pearson's r with its intervals, `residuals`, what is left within groups,
                `regression`, the line and its band, `attenuation`, r without the noise of finite members,
                `identity`, how much of r is arithmetic, and `trajectories`, how each example's score moves
`membership`    membership inference: a cell's members attacked by each other. It is made of `reference`, what
                the other blocks tell of each example, `attacks`, LiRA and others, `roc`, how many members an
                attack finds, and `vulnerability`, how well each example is told
`bootstrap`     resampling of members: intervals for what is aggregated over examples
"""
