"""Pure functions of arrays. One file per question:

`counts`        sums over members that everything below is made of
`scores`        memorization of each example (Equation 1) with its interval; memorized fraction
`leave_one_out` Equation 1 to the letter (section 3.2), and when to stop training for it
`coinfluence`   which examples learn from each other; `peers`: scores conditioned on them
`extrapolation` scores at several r, carried to n-1
`gaussian`      scores from the label's log odds; `shrunk`: from few members, by empirical Bayes, made of
                `beta_binomial` and `spline`
`approximation` the error of an estimate against leave-one-out (section 4.2); `outliers`: SPP
`memorized_set` examples above a threshold with a controlled share of false ones
`influence`     of training on test examples (section 2.2); `products`: its exact integer products
`hypergeometric` what chance gives when members are shuffled
`summary`       a cell's aggregates
`bootstrap`     resampling of members: intervals for what is aggregated over examples
`correlation`   Pearson's r over cells with its intervals (section 5)
`residuals`     what is left within groups of cells
`attenuation`   r without the noise of finite members
`identity`      how much of r is arithmetic
`trajectories`  how each example's score moves along the axis of test accuracy
"""
