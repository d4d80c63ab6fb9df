"""Whether new data is like the champion's, and free of its patients."""
