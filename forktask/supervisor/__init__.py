"""The supervisor: forks runners, watches them, and is the only one to write their rows."""
