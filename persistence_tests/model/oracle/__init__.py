"""The oracle: a pure function from a history to judgements. Absence of proof is never `kept`.

ledger      what each name may show (the table of DESIGN, section 4, is in `model.closure`)
sight       one name through one path: right, wrong, or untold
symptoms    which symptom wrong bytes are
listing     unexpected names, residue
meanwhile   what was answered while an event was applied
rows        rows that refer to files: dangling, unreferenced
passes      all paths at one moment: findings, counts, notes
account     the records of a step, gathered
verdict     the verdict of a step
judging     the whole history
"""

from persistence_tests.model.oracle.judging import Oracle, judge

__all__ = ["Oracle", "judge"]
