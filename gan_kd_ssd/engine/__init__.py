"""Training and evaluation: devices, schedule, checkpoints, progress and the training loop."""
