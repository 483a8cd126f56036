"""Detectors behind one interface: GluonCV's networks with their pyramid, losses and inference."""
