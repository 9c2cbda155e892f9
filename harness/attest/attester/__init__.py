"""Attesters: what they answer, and the channel to one on a machine.

``contract.py`` has the questions and answers as values and protocols; ``channel.py`` asks over a standing
connection. Nothing here judges an answer.
"""
