"""Who attests: endorsement by TPM makers and enrolment of keys.

``authorities.py``, ``chain.py``, ``certificate.py`` and ``der.py`` follow a maker's certificates,
``enrolment.py`` proves that keys are in that TPM. ``enrolled.py`` has the identities as values, ``ports.py``
what a registry must offer to keep them.
"""
