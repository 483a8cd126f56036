"""Running a training: devices, schedule, checkpoints, progress, and the loop itself."""
