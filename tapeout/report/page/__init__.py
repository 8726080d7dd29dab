"""What all report pages share: rendering and wording."""
