"""The artifact: evidence, claims, verdicts, program and appendix as one signed file, and its check elsewhere.

``build`` puts it together and ``verify`` checks it. ``layout`` says where what lies, ``statement`` is what it
says of its verdicts, ``crate`` its RO-Crate metadata, ``appendix`` the appendix for artifact evaluation,
``facts`` what that takes from the evidence, and ``program`` the wheel.
"""
