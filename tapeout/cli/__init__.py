"""The command line ``tapeout``: one module per command or group of commands."""
