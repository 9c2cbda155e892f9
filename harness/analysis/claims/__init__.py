"""The papers' claims: what each says, and whether stored runs show it.

``model`` is what a file of claims says, ``files`` reads it, ``rule`` turns the trials of a claim into its
verdict, ``checks`` has the claims that need no machine, ``verdicts`` puts them together, and ``installed``
does so with what this installation knows.
"""
