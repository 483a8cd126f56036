"""The built-in data set of generated pictures of coloured shapes."""
