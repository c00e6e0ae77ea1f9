"""Why a port fails: hypotheses that are confirmed by computing the reference again with one change.

Read `diagnosing` first: it takes the checks to explain from `picking`, and runs the families on them. `cases` is what a
family sees of a check, `hypotheses` what it yields, `compute` the reference's modules in NumPy, and `families` has one
file per family. Nothing is guessed: a cause is reported only if the changed reference gives the port's numbers, within
the tolerance of the check that failed. No framework is imported.
"""
