"""Studies with readers: tables of their decisions and scores."""
