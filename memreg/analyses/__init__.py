"""Analyses: compositions of the registry, the estimators and the figures. They train nothing."""
