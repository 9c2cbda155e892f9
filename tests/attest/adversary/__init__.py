"""The adversary suite: what an attacker would send, and what must be said to it.

One table of cases (:mod:`tests.attest.adversary.table`): each forges one thing and names the one reason with
which it must be refused; next to them stand the honest cases, which must be accepted. Sweeps flip every bit
and cut at every byte. Mutants prove that the table notices when a check is missing.
"""
