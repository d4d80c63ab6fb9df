"""Runs on a cluster, as people want to read them: tasks, their causes of failure, their logs."""
