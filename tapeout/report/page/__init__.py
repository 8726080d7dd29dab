"""Common parts of all report pages: rendering and wording."""
