"""The experiments of the chapters: each wires blocks of the workbook together and returns numbers or pictures to draw."""
