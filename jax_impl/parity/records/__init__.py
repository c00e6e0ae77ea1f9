"""Records: what record.json holds, and how a record is read and verified."""
