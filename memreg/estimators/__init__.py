"""Pure functions of arrays. One file per question:

`counts`       sums over members that everything below is made of
`scores`       memorization of each example (Equation 1) with its interval; memorized fraction
`bootstrap`    resampling of members: intervals for what is aggregated over examples
`correlation`  Pearson's r over cells with its intervals (section 5)
"""
