"""The pages in a real browser: what appears on hover and on focus, and whether a screen reader can read them."""
