"""What happens while jobs run: logs, workers, progress, the work of a batch, and the commands of a user.

In: the settings of a job, products of earlier jobs.
Out: products, a work log, lines on the terminal, DS9.
"""
