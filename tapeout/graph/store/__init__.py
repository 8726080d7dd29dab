"""The content-addressed store on this machine."""
