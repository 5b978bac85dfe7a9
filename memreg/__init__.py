"""An MLflow-tracked registry of memorization experiments."""
