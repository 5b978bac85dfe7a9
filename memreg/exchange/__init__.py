"""Cells from elsewhere, and for elsewhere."""
