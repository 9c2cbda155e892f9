"""Code that several workloads share: the generators on the client, and the server's own count.

A generator makes the processes' commands from plain values and turns their lines back into a timeline. The
workload decides which server is loaded, with what and how much.
"""
