"""From the words of a pixel frame to gray levels with black at 0."""
