"""Speeds and costs, measured on this machine beside the libraries that others use: ``make bench``, or ``course bench PART``.

Every figure stands beside the machine's own matmul rate, measured in the same run, because a share of what the hardware can do
travels better than seconds. Rivals are timed in turns with us, so that another program's burst of work hits both. Run it with
nothing else busy.
"""
