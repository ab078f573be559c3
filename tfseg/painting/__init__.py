"""What pictures are drawn with: colours that eyes tell apart, and the tints, outlines and names of instances."""
