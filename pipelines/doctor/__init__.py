"""`mammo doctor`: what a cluster lacks before a run needs it, each with its remedy."""
