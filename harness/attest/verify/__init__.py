"""The verifier: evidence and policy in, a result out. Pure.

``verifier.py`` has the twelve steps in order: ``quote_steps.py``, ``log_steps.py`` and
``appraisal_step.py``. ``question.py`` is what was asked, ``memory.py`` what is remembered of an attester.
"""
