"""Connections of the server: sockets, limits, authentication and the queue."""
