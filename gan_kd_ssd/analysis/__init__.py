"""What a training log shows: figures, comparison, plots and reports. Imports no MXNet."""
