"""What was handed in: files in any layout, whose they are, and the cells of a notebook. Nothing in them is run here."""
