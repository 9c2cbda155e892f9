"""The registry: who may attest, and what was found.

It keeps what a verifier must not forget between two questions: identities, spent nonces, what was accepted
last, results, a server's properties, and where guests are. It judges no evidence. Whatever must be true of
two processes at once is said by the database, in constraints and in one transaction each, never by a check
beforehand alone.
"""
