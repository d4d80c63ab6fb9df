"""The KFP pipelines and their client; the only code beside components/ that knows KFP."""
