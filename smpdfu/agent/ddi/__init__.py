"""hawkBit's DDI protocol without I/O: what the server says, what an agent answers, when it asks again."""
