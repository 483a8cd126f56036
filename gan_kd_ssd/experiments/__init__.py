"""The paper's matrix, run: ``python -m gan_kd_ssd.experiments``. The rows are in ``experiments/rows``."""
