"""Judge designs: problem sets, isolation of generated programs, simulators, and the ladder of what a design reaches."""
