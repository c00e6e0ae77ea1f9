"""What the families of leaves share: blocks of packed leaves, orders of entries, and names of factors and laws."""
