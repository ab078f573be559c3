"""What a network emits -> what a user reads. NumPy and OpenCV only, so that it runs beside any model format."""
