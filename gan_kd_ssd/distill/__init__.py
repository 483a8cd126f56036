"""The method: discriminators on the levels of two pyramids, and what the student learns from them."""
