"""Training and validation batches: sample order, worker processes, transforms and targets."""
