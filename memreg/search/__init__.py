"""Choosing recipes: what to train next. Nothing here trains, or knows of MLflow.

`space`      the recipes that may be chosen
`targets`    the test accuracies that cells shall have, and which are filled
`accuracy`   what a few members say of a cell's accuracy
`surrogate`  a Gaussian process of accuracy over recipes
`propose`    the recipe most likely to fill an open target: the process, inverted
`trials`     trials in Optuna: asked for, taken over from a driver that died, told
`fill`       the search for recipes that fill targets, as an Optuna study
"""
