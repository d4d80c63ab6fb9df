"""Compressed frames: their codestreams, and the decoders in a process of their own."""
