"""Turns a network's outputs into what a user reads, with NumPy and OpenCV only, so that any model format can use it."""
