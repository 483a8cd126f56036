"""Distillation: a student detector learns from a trained teacher, by GAN-KD and other terms."""
