"""The registry: who may attest, and what was found.

It stores what a verifier must remember between two questions: identities, used nonces, what was accepted
last, results, a server's properties, and where guests are. It judges no evidence. A rule that must hold
between processes is enforced by the database, by constraints and in one transaction each, never only by an
earlier check.
"""
