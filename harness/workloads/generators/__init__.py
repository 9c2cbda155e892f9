"""What several workloads share: the generators on the client, and what the server itself counts.

A generator makes the processes' commands from plain values and turns their lines back into a timeline. Which
server is loaded, with what and how much, is the workload's business.
"""
