"""The chapters' experiments: one folder for each notebook, and the files that several of them share.

An experiment combines blocks of the workbook and returns figures of merit, or images to draw.
"""
