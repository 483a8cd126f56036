"""Download and unpacking of the published data sets."""
