"""Choosing recipes: what to train next. Nothing here trains.

`space`      the recipes that may be chosen
`targets`    the test accuracies that cells shall have, and which are filled
`accuracy`   what a few members say of a cell's accuracy
`surrogate`  a Gaussian process of accuracy over recipes
`propose`    the recipe most likely to fill an open target: the process, inverted
`trials`     the search: trials in Optuna, asked for, grown, told, whatever the goal
`fill`       the goal of filling targets
`optimize`   the goal of the best test accuracy
`storage`    where Optuna keeps its studies
"""
