"""Model files that other programs run: TFLite and SavedModel."""
