"""From samples to training batches: order, workers, augmentation and targets."""
