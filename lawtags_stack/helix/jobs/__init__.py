"""The generic jobs API: attempts, steps, tasks, logs and results."""
