"""Dynamic cells: what makes the next frame of a video from the one before."""
