"""Models of four libraries behind one interface, `base.Model`. `adapters.adapted` chooses."""
