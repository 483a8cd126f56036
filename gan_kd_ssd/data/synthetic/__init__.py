"""A generated data set of coloured shapes."""
