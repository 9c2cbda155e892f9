"""The verifier: evidence and policy in, a result out. Pure."""
