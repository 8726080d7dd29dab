"""What all pages have in common: one style, one way to write numbers, one way to render."""
