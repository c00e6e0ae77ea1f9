"""What several pictures share: colours, axes, and the two widths of a report."""
