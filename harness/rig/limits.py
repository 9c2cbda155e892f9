"""How long a machine of the rig may take: the inventory's ``sodbench_limits``.

A limit that is exceeded names its variable, so that the message says what to raise on a slow machine.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _no_truth_value(given: object) -> object:
    if isinstance(given, bool):
        raise ValueError(f"{str(given).lower()} is no number")
    return given


NUMBER = BeforeValidator(_no_truth_value)
"""For a number of an inventory: a text is one where it reads so, as templates give texts; true is no 1."""
Seconds = Annotated[float, NUMBER, Field(gt=0, le=86400, allow_inf_nan=False)]
LimitName = Literal["connect_s", "answer_s", "command_s", "copy_s", "acceleration_s", "ansible_s"]


class Limits(BaseModel):
    """The longest that one machine may take for something, in s.

    Attributes:
        connect_s: To greet and to log in over SSH.
        answer_s: To answer a standing connection: a sign of life, the rig's lock, its clocks.
        command_s: For one ordinary command, ``qemu-img create`` among them.
        copy_s: For copying, deleting or flushing guests' disks.
        acceleration_s: For the guest's kernel to start under KVM, else the host counts as one without KVM.
        ansible_s: For Ansible to connect and to become root (``ANSIBLE_TIMEOUT``).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    connect_s: Seconds = 10
    answer_s: Seconds = 15
    command_s: Seconds = 60
    copy_s: Seconds = 300
    acceleration_s: Seconds = 10
    ansible_s: Seconds = 10

    def seconds(self, name: LimitName) -> float:
        """The limit of that name, in s."""
        return {
            "connect_s": self.connect_s,
            "answer_s": self.answer_s,
            "command_s": self.command_s,
            "copy_s": self.copy_s,
            "acceleration_s": self.acceleration_s,
            "ansible_s": self.ansible_s,
        }[name]

    @staticmethod
    def advice(name: LimitName, role: str) -> str:
        """What to do about a limit that was exceeded."""
        return f"if {role} is only slow, raise sodbench_limits.{name} in the inventory (docs/provisioning.md)"
