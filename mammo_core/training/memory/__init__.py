"""What training fits into memory: devices, replicas, batches and recomputation."""
