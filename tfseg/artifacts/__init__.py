"""Exports a trained model: its files for other programs, made, checked and listed."""
