"""What demo_app.py needs beside itself."""
