"""Analysis of training logs: figures, comparison, plots and reports. Imports no MXNet."""
