"""Which devices run an image: what logs and journals say of each device, what is asked for, and the answer."""
