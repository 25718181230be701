"""What is said where an image stays in the slot through which the next update must go."""

SLOT_NOT_FREE = "slot-not-free"
"""The code of an error or a doubt that leaves an image in the slot."""
FREE_THE_SLOT = (
    "Free the slot: erase it if the firmware allows that, else with a debugger or in MCUboot's serial recovery"
)
