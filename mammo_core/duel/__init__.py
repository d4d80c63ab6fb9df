"""The duel: challenger and champion score the same source images, each by its own package."""
