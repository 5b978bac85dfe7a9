"""From planned cells to complete ones: training, scoring and the study that holds them."""
