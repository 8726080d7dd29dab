"""Exports: reports with everything needed to check and rebuild them on another machine."""
