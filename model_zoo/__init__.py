"""Recipes, <dataset>/<model>_<backbone>.py, and their parts: backbones, models, data, schedules."""
