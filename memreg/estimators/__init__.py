"""Pure functions of arrays. One file per question:

`counts`        sums over members that everything below is made of
`scores`        memorization of each example (Equation 1) with its interval; memorized fraction
`summary`       a cell's aggregates
`bootstrap`     resampling of members: intervals for what is aggregated over examples
`correlation`   Pearson's r over cells with its intervals (section 5)
`residuals`     what is left within groups of cells
`attenuation`   r without the noise of finite members
`identity`      how much of r is arithmetic
`trajectories`  how each example's score moves along the axis of test accuracy
"""
