"""The paper's matrix of experiments: its rows, its tables, and what runs them."""
