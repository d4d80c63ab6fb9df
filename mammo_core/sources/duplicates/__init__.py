"""Files that show the same picture: found by digests of what they show, kept on one side."""
