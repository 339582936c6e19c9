"""What an operator asks and orders, of one status or of many; the command line and pages are made of it."""
