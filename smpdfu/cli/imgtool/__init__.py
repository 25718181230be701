"""``smpdfu-imgtool``: imgtool's command line in front of our signer."""
