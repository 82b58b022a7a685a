"""The contestants of tools/race.py, a file each, what they are handed, and the figures they are compared by."""
