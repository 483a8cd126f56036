"""What this machine has of what the project needs: ``python -m gan_kd_ssd.doctor``.

Nothing here imports MXNet in its own process: whatever is broken is found in another one.
"""
