"""Speeds and costs on this machine, compared with other libraries: ``make bench``, or ``course bench PART``.

Every figure is reported with the machine's own matmul rate, measured in the same run, because a fraction of what the hardware can
do transfers between machines better than seconds. All libraries are timed in turns, so that a burst of work by another program
slows all of them. Run it on an idle machine.
"""
