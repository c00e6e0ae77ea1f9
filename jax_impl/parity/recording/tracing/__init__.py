"""How the arrays inside a program are seen, replaced and aligned with the reference's."""
