"""The auditor's command line, one file a command."""
