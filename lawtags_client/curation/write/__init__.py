"""Files of rows, the report and the data card."""
