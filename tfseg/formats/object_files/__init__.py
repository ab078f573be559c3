"""Predicted objects in the files of annotation tools, so that a person corrects what a model drew first."""
