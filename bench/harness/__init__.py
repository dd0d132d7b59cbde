"""What bench/run.py is made of.

    processes   children, ports, waiting, and what /proc says about CPU and memory
    machine     what the results have to say about the machine, and the disk's own fdatasync
    peers       Tollgate and what it is compared with: configuration, command line, version
    traffic     sinks, load and verdict: the three other commands of tollgate-bench
    measure     one round of one cell: a peer between a load and its sinks
    scenarios   the cells of each scenario
    ratios      what is to be reached, and what was
"""
