"""Training: configurations, tasks, the loop, checkpoints, the default trio."""
