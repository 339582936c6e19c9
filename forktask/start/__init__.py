"""The start methods: from a committed row to a process."""
