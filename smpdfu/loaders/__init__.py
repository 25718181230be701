"""The generations of bootloaders in the field, as data: what each recognises, erases, keeps, and what that proves.

MCUboot decides the fate of an image, and Nordic changed its ``loader.c`` five times since NCS 2.2, exactly where an
nRF5340 update can go wrong. The virtual device behaves by these tables and ``dfu/`` judges by them, so that both say
the same. Facts: Nordic's ``loader.c`` of seven releases, compiled and run (nrfconnect/sdk-mcuboot).
"""
